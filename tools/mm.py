"""Run any stock MMAction2 tool on our configs.

Usage: python tools/mm.py analysis_tools/print_config configs/micacl_dfew.py
       python tools/mm.py analysis_tools/get_flops configs/micacl_dfew.py
"""

import sys

from micacl_mm.engine.launch import run_tool

if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        sys.exit(__doc__)
    try:
        run_tool(sys.argv[1], sys.argv[2:])
    except FileNotFoundError as error:
        sys.exit(str(error))
