"""Test a checkpoint: MMAction2's own test.py with our options added."""

from collections.abc import Sequence

from .launch import adjust_test, run_tool


def main(argv: Sequence[str]) -> int:
    """Test a checkpoint."""
    if not {'-h', '--help'}.isdisjoint(argv):
        print(
            'options of post-hoc logit adjustment:\n'
            '  --logit-adjust TAU, --class-counts N ...\n'
        )
    return run_tool('test', adjust_test(argv))
