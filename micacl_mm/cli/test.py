"""Test a checkpoint: MMAction2's own test.py with our options added."""

import argparse
from collections.abc import Sequence

from . import asks_for_help
from .launch import add_adjustment, adjustment_settings, run_tool


def main(argv: Sequence[str]) -> int:
    """Test a checkpoint."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS
    )
    add_adjustment(parser)
    found, rest = parser.parse_known_args(argv)
    if asks_for_help(argv):
        print(parser.format_help())
    settings = adjustment_settings(found.logit_adjust, found.class_counts)
    return run_tool('test', [*rest, *settings])
