"""Try the readers of files and the constructors on a great many inputs.

  python -m tests.fuzz --examples 2000             all properties, so often
  python -m tests.fuzz --examples 300 --seed 7     other inputs
  python -m tests.fuzz tests/fuzz/test_trees.py    one file of them

Runs tests/fuzz, which CI runs on few inputs, and prints how many were tried
and how many properties did not hold; each fault is shown with the smallest
input that has it. Exit code: 0, or 1 for a fault.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
#: Properties whose inputs are files or folders.
OF_FILES = (
    *('split_files', 'trees', 'lists_of_clips', 'test_records_of_runs'),
    *('test_tables_of_results', 'test_folders_of_kfold', 'test_markers'),
    *('test_broken_checkpoints', 'test_broken_workbooks'),
    *('test_logs_of_trainings', 'test_configs_stored_in_checkpoints'),
)


class Faults:
    """Counts tests that failed; a plugin of pytest."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: object) -> None:
        """Note what did not pass."""
        if report.failed:
            self.failed.append(report.nodeid)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run and count."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('tests', nargs='*', help='default: tests/fuzz')
    parser.add_argument(
        '--examples', type=int, default=500, help='of each (default: 500)'
    )
    parser.add_argument('--seed', type=int, help='default: always the same')
    arguments = parser.parse_args(argv)
    # Read by tests/fuzz/profile.py when it is imported.
    os.environ['FUZZ_EXAMPLES'] = str(arguments.examples)
    if arguments.seed is not None:
        os.environ['FUZZ_SEED'] = str(arguments.seed)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import pytest

    faults, start = Faults(), time.process_time()
    tests = arguments.tests or ['tests/fuzz']
    code = pytest.main(
        ['-n0', '-q', '--tb=short', '--show-capture=no', *tests], [faults]
    )
    from tests.fuzz.profile import TRIED

    for name, count in sorted(TRIED.items()):
        print(f'{count:8d}  {name.removeprefix("test_")}')
    files = sum(TRIED[name] for name in OF_FILES)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f'{sum(TRIED.values())} inputs in '
        f'{time.process_time() - start:.0f} s of processor time, at most '
        f'{memory:.1f} GiB of memory'
    )
    print(f'files fuzzed: {files}, faults found: {len(faults.failed)}')
    return int(bool(code))


if __name__ == '__main__':
    sys.exit(main())
