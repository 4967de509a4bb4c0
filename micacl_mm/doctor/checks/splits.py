"""Split files: whole, as published, and apart from each other."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from micacl_mm.datasets.base import DRAWN_MARKER, BaseDFERDataset
from micacl_mm.datasets.dfew_dataset import DFEWDataset
from micacl_mm.datasets.splits import RESTORE, find_shared, name_groups

from ..case import Case
from ..finding import (
    Finding,
    blamed,
    failed,
    number,
    passed,
    skipped,
    some,
    warned,
)
from ..registry import check
from .configs import clip_place

OFFICIAL = ('train', 'test')


@check('split files', 'data')
def split_files(case: Case) -> Iterator[Finding]:
    """All split files of the set can be read, those of other folds too."""
    first = _first(case)
    if first is None:
        yield skipped('the data set has no split files that are known here')
        return
    wrong, absent = [], []
    for variant, dataset in _variants(first):
        for split in OFFICIAL:
            try:
                rows = dataset.read_split(split)
            except FileNotFoundError:
                absent.append(f'{variant} ({split})')
            except ValueError as error:
                wrong.append(blamed(error, RESTORE))
            else:
                case.rows[variant, split] = rows
    yield from wrong
    if absent and not _is_drawn(first):
        yield warned(
            f'no split files of {first.VARIANT} {some(absent, 9)}: these '
            'cannot be trained on',
            'unpack the split files of the release again',
        )
    elif not wrong:
        found = dict.fromkeys(str(variant) for variant, _ in case.rows)
        yield passed(f'{first.VARIANT} {", ".join(found)}'.strip())


def _first(case: Case) -> Any:
    """A data set of ours whose splits can be asked for."""
    ours = [d for _, d in case.built() if isinstance(d, BaseDFERDataset)]
    return ours[0] if ours else None


def _variants(dataset: BaseDFERDataset) -> Iterator[tuple[Any, Any]]:
    """Views of a set: all folds of DFEW, else the one that is in use."""
    if not isinstance(dataset, DFEWDataset):
        yield getattr(dataset, dataset.VARIANT or '_', 'all'), dataset
        return
    for fold in dataset.OFFICIAL_COUNTS:
        view = copy.copy(dataset)
        view.fold = fold
        yield fold, view


def _is_drawn(dataset: BaseDFERDataset) -> bool:
    return os.path.isfile(os.path.join(dataset.data_root, DRAWN_MARKER))


@check('counts', 'data')
def counts(case: Case) -> Iterator[Finding]:
    """Clips of each class in each fold are those that were published."""
    first = _first(case)
    if first is None or not first.OFFICIAL_COUNTS:
        yield skipped('no official counts are known of this data set')
        return
    if _is_drawn(first):
        yield passed('a drawn set, whose counts are its own')
        return
    wrong, known = [], 0
    for (variant, split), rows in case.rows.items():
        official = first.OFFICIAL_COUNTS.get(variant, {}).get(split)
        if official is None:
            continue
        known += 1
        found = Counter(row.label for row in rows)
        differing = [
            f'{name} {found[i]} instead of {official[i]}'
            for i, name in enumerate(first.CLASSES)
            if found[i] != official[i]
        ]
        if differing:
            where = f'{first.VARIANT} {variant}, {split}'
            wrong.append(f'{where}: {some(differing, 7)}')
    if wrong:
        yield failed(some(wrong), RESTORE)
    else:
        yield passed(f'official in {known} split files')


@check('folds', 'data')
def folds(case: Case) -> Iterator[Finding]:
    """Train and test of each fold are apart; the folds make up one set."""
    if not case.rows:
        yield skipped('no split files that are known here')
        return
    word = _first(case).VARIANT
    names = {
        (f'{word} {variant}'.strip(), split): {row.video_id for row in rows}
        for (variant, split), rows in case.rows.items()
    }
    wrong = [*_leaks(names), *_incomplete(names), *_relabelled(case)]
    if wrong:
        yield failed(some(wrong), RESTORE)
    else:
        whole = sorted({str(v) for v, s in names if s == 'test'})
        clips = len(set().union(*names.values()))
        yield passed(
            f'train and test apart in {", ".join(whole)}; {clips} clips'
        )


def _leaks(names: dict) -> Iterator[str]:
    for (variant, split), test in names.items():
        both = test & names.get((variant, 'train'), set())
        if split == 'test' and both:
            yield (
                f'{variant}: {some(sorted(both))} stand in train and in test'
            )


def _incomplete(names: dict) -> Iterator[str]:
    tests = {v: n for (v, split), n in names.items() if split == 'test'}
    if len(tests) < 2:
        return
    for (one, left), (other, right) in combinations(tests.items(), 2):
        both = sorted(left & right)
        if both:
            yield f'{one} and {other}: {some(both)} stand in both tests'
    whole = set().union(*names.values())
    for variant, test in tests.items():
        # A clip that one fold does not list, and others do.
        gone = whole - test - names.get((variant, 'train'), whole)
        if gone:
            yield f'{variant}: {some(sorted(gone))} are lacking'
    never = whole - set().union(*tests.values())
    if never and len(tests) == len(DFEWDataset.OFFICIAL_COUNTS):
        yield f'{some(sorted(never))} stand in no test'


def _relabelled(case: Case) -> Iterator[str]:
    labels: dict[str, set[int]] = {}
    for rows in case.rows.values():
        for row in rows:
            labels.setdefault(row.video_id, set()).add(row.label)
    torn = sorted(name for name, found in labels.items() if len(found) > 1)
    if torn:
        yield f'{some(torn)} have another label in another split file'


@check('overlap', 'data')
def overlap(case: Case) -> Iterator[Finding]:
    """No clip of the training is one for validation or test."""
    places: dict[str, set[str]] = {}
    for name, dataset in case.built():
        found = {clip_place(dataset, i) for i in range(len(dataset))}
        places.setdefault(name, set()).update(found)
    train = places.pop('train', set())
    wrong = {n: sorted(train & p) for n, p in places.items() if train & p}
    for name, both in wrong.items():
        yield failed(
            f'{number(len(both), "clip")} of {name}_dataloader trained on: '
            f'{some([os.path.basename(path) for path in both])}',
            'give both loaders the same fold, val_ratio and val_seed, and '
            'each a split of its own',
        )
    if not wrong:
        yield passed(f'none of {len(train)} training clips')


@check('persons', 'data')
def persons(case: Case) -> Iterator[Finding]:
    """No person is in train and test, where clips name their persons."""
    first = _first(case)
    pattern = getattr(first, 'group_pattern', None)
    if not pattern:
        yield skipped('the clips do not say whom they show')
        return
    rows = {split: first.read_split(split) for split in ('train', 'val')}
    rows['test'] = first.read_split('test')
    names = [row.video_id for part in rows.values() for row in part]
    groups = name_groups(names, pattern, first.data_root)
    shared = sorted(find_shared(rows, groups))
    if shared:
        yield failed(
            f'{some(shared)} stand in more than one split',
            'move all clips of a person into one of the folders train, val '
            'and test',
        )
    else:
        yield passed(f'{len(set(groups.values()))} persons, each in a split')
