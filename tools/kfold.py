"""Train and test the folds and seeds of one config, and summarise them.

Usage: python tools/kfold.py configs/micacl_dfew.py [--seeds 0 1 2]
           [--data-root /data/DFEW] [--selection val|last|test]
"""

import sys

from micacl_mm.cli.kfold import main

if __name__ == '__main__':
    sys.exit(main())
