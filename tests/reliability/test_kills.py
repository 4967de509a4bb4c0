"""Real kills, a few; docs/reliability.md has figures of many."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.reliability.torture.comparison import equal

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


@pytest.mark.parametrize(
    ('one', 'other', 'same'),
    [
        (torch.zeros(2), torch.zeros(2), True),
        (torch.zeros(2), -torch.zeros(2), False),
        (torch.tensor(0.0), torch.tensor(-0.0), False),
        (torch.tensor(torch.nan), torch.tensor(torch.nan), True),
        (torch.zeros(2), torch.zeros(2, 1), False),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32), False),
        (torch.zeros(2), None, False),
        (torch.eye(2).bfloat16().T, torch.eye(2).bfloat16(), True),
        (torch.tensor([True]), torch.tensor([True]), True),
        (torch.zeros(0), torch.zeros(0), True),
        ([0.0, {'a': 1}], [0.0, {'a': 1}], True),
        ([0.0], [-0.0], False),
        ({'a': 1}, {'a': 1, 'b': 2}, False),
        ((1,), (1, 2), False),
    ],
)
def test_states_are_compared_by_bytes(one, other, same):
    assert equal(one, other) == equal(other, one) == same
