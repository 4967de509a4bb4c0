"""Run any stock MMAction2 tool on our configs.

Usage: python tools/mm.py analysis_tools/print_config configs/micacl_dfew.py
       python tools/mm.py analysis_tools/get_flops configs/micacl_dfew.py \
           --shape 4 3 4 112 112
"""

import sys

from micacl_mm.engine.launch import run_tool, stock_tool

if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        sys.exit(__doc__)
    try:
        stock_tool(sys.argv[1])
    except FileNotFoundError as error:
        sys.exit(str(error))
    run_tool(sys.argv[1], sys.argv[2:])
