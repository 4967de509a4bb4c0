"""The command `micacl doctor`."""

import sys

sys.argv[:1] = ['micacl', 'doctor']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
