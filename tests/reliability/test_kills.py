"""Real kills, a few; docs/reliability.md has figures of many."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_are_survived(tmp_path):
    found = subprocess.run(
        [
            *(sys.executable, str(ROOT / 'tools' / 'kill_test.py')),
            *('--kills', '3', '--seed', '1', '--work-dir', str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout
    assert re.search(
        r'kills survived: 3 of 3, .*; weights bit-equal, metrics equal',
        found.stdout,
    )
