"""The command `micacl kfold`."""

import sys

sys.argv[:1] = ['micacl', 'kfold']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
