"""``python -m micacl_mm`` is the command ``micacl``."""

import sys

from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
