"""The command `micacl plot`."""

import sys

sys.argv[:1] = ['micacl', 'plot']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
