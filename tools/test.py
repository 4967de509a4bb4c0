"""Test a checkpoint: MMAction2's own test.py with our options added.

Usage: python tools/test.py configs/micacl_dfew.py CHECKPOINT [--fold 1]
"""

from micacl_mm.cli.launch import run_tool

if __name__ == '__main__':
    run_tool('test')
