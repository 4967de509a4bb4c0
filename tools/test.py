"""The command `micacl test`."""

import sys

sys.argv[:1] = ['micacl', 'test']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
