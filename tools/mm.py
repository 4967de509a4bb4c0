"""The command `micacl mm`."""

import sys

sys.argv[:1] = ['micacl', 'mm']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
