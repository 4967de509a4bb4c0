"""Held-out slices by class and, where they are known, by person."""

import random
from collections import Counter, defaultdict
from hashlib import sha256

import pytest

from micacl_mm.datasets.splits import SplitRow, hold_out

SIZES = [60, 45, 31, 10, 3, 2, 1]
ROWS = [
    SplitRow(f'{100 * label + number:05d}', label)
    for label, size in enumerate(SIZES)
    for number in range(size)
]


@pytest.mark.parametrize('ratio', [0.01, 0.25, 0.999])
@pytest.mark.parametrize('seed', [0, 7])
def test_disjoint_complete_and_stratified(ratio, seed):
    train, val = hold_out(ROWS, alone(ROWS), ratio, seed)
    assert train == [row for row in ROWS if row not in val]
    assert val == [row for row in ROWS if row not in train]
    held = by_class(val)
    assert held[SIZES.index(1)] == 0
    for label, size in enumerate(SIZES[:-1]):
        # Within one clip of the exact share wherever both sides allow it.
        share = min(max(ratio * size, 1), size - 1)
        assert abs(held[label] - share) <= 0.5


@pytest.mark.parametrize('ratio', [0.05, 0.5])
def test_the_slice_is_the_same_for_everybody(ratio):
    """In each class the first names by their hash, whatever their order."""
    for seed in (0, 5):
        expected = set()
        for label, size in enumerate(SIZES):
            names = [row.video_id for row in ROWS if row.label == label]
            names.sort(key=lambda n: sha256(f'{seed}/{n}'.encode()).digest())
            expected |= {*names[: min(max(round(ratio * size), 1), size - 1)]}
        shuffled = random.Random(seed).sample(ROWS, len(ROWS))
        held = hold_out(shuffled, alone(ROWS), ratio, seed)[1]
        assert {row.video_id for row in held} == expected


def test_larger_slice_contains_the_smaller():
    none, small, large = (
        set(hold_out(ROWS, alone(ROWS), ratio, 2)[1])
        for ratio in (0, 0.1, 0.3)
    )
    assert none < small < large
    assert hold_out([], {}, 0.5, 0) == ([], [])


# ---- whole persons


def clips(*counts):
    return [
        SplitRow(f'class{label}/clip_{number}', label)
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def alone(rows):
    return {row.video_id: row.video_id for row in rows}


def persons(rows, total, seed):
    """Persons of very different numbers of clips."""
    rng = random.Random(seed)
    weights = [rng.random() ** 2 + 0.02 for _ in range(total)]
    names = [f'person{i}' for i in range(total)]
    return {r.video_id: rng.choices(names, weights)[0] for r in rows}


def by_class(rows):
    return Counter(row.label for row in rows)


def test_a_new_clip_moves_at_most_one_other_in_a_cut():
    rows = clips(40, 13)
    before = set(hold_out(rows, alone(rows), 0.2, 0)[1])
    moved = Counter()
    for number in range(20):
        more = [*rows, SplitRow(f'class1/new_{number}', 1)]
        after = set(hold_out(more, alone(more), 0.2, 0)[1])
        moved[len((before ^ after) - {more[-1]})] += 1
    assert set(moved) == {0, 1}


@pytest.mark.parametrize('seed', range(6))
def test_persons_stay_together(seed):
    rows = clips(200, 90, 40, 12)
    groups = persons(rows, 15, seed)
    rest, held = hold_out(rows, groups, 0.2, seed)
    sides = [{groups[row.video_id] for row in part} for part in (rest, held)]
    assert sides[0].isdisjoint(sides[1]) and all(sides)
    assert sorted(rest + held) == sorted(rows)
    # Each class on both sides wherever a person can be spared.
    of_class = defaultdict(set)
    for row in rows:
        of_class[row.label].add(groups[row.video_id])
    assert all(by_class(rest)[label] for label in of_class)
    largest = max(Counter(groups.values()).values())
    assert abs(len(held) - 0.2 * len(rows)) <= largest
    for label in by_class(rows).keys() - by_class(held).keys():
        for person in of_class[label]:
            left = by_class(r for r in rest if groups[r.video_id] != person)
            assert set(left) != set(of_class), (label, person)


def test_two_persons_with_all_classes_are_parted():
    rows = clips(50, 50)
    groups = {r.video_id: 'ab'[int(r.video_id[-1]) % 2] for r in rows}
    rest, held = hold_out(rows, groups, 0.1, 0)
    assert len(rest) == len(held) == 50
