"""Train a recognizer: MMAction2's own train.py with our options added.

Usage: python tools/train.py configs/micacl_dfew.py [--fold 1] [--data-root .]
"""

from micacl_mm.cli.launch import run_tool

if __name__ == '__main__':
    run_tool('train')
