"""The command `micacl train`."""

import sys

sys.argv[:1] = ['micacl', 'train']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
