"""The command `micacl demo`."""

import sys

sys.argv[:1] = ['micacl', 'demo']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
