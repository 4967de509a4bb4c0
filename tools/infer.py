"""The command `micacl infer`."""

import sys

sys.argv[:1] = ['micacl', 'infer']
from micacl_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
