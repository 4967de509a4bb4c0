"""Run any stock MMAction2 tool: ``python -m micacl_mm`` as a script.

Usage: python tools/mm.py analysis_tools/print_config configs/micacl_dfew.py
       python tools/mm.py analysis_tools/get_flops configs/micacl_dfew.py \
           --shape 4 3 4 112 112
"""

from micacl_mm.__main__ import main

if __name__ == '__main__':
    main()
