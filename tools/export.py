"""The command `micacl export`."""

import sys

sys.argv[:1] = ['micacl', 'export']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
