"""The held-out slice."""

import random
from collections import Counter

import pytest

from micacl_mm.datasets.splits import SplitRow, cut_validation

SIZES = [60, 45, 31, 10, 3, 2, 1]
ROWS = [
    SplitRow(f'{100 * label + number:05d}', label)
    for label, size in enumerate(SIZES)
    for number in range(size)
]


@pytest.mark.parametrize('ratio', [0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize('seed', [0, 1, 7])
def test_disjoint_complete_and_stratified(ratio, seed):
    train, val = cut_validation(ROWS, ratio, seed)
    assert not set(train) & set(val)
    assert set(train) | set(val) == set(ROWS)
    assert train == [row for row in ROWS if row in set(train)]
    held = Counter(row.label for row in val)
    left = Counter(row.label for row in train)
    for label, size in enumerate(SIZES):
        if size == 1:
            assert (held[label], left[label]) == (0, 1)
            continue
        assert held[label] >= 1 and left[label] >= 1
        # Within one clip of the exact share wherever both sides allow it.
        share = min(max(ratio * size, 1), size - 1)
        assert abs(held[label] - share) <= 0.5


def test_seed_decides():
    first, again, other = (
        set(cut_validation(ROWS, 0.2, seed)[1]) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_order_of_the_file_does_not_matter():
    shuffled = ROWS[:]
    random.Random(0).shuffle(shuffled)
    assert shuffled != ROWS
    assert set(cut_validation(ROWS, 0.2, 5)[1]) == set(
        cut_validation(shuffled, 0.2, 5)[1]
    )


def test_larger_slice_contains_the_smaller():
    small = set(cut_validation(ROWS, 0.1, 2)[1])
    large = set(cut_validation(ROWS, 0.3, 2)[1])
    assert small < large


def test_nothing_to_cut():
    with pytest.raises(ValueError, match='val_ratio=0'):
        cut_validation(ROWS[-1:], 0.5, 0)
