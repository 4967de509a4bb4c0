"""Train a recognizer: MMAction2's own train.py with our options added."""

from collections.abc import Sequence

from .launch import run_tool


def main(argv: Sequence[str]) -> int:
    """Train a recognizer."""
    return run_tool('train', argv)
