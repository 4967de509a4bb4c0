"""Split files: readable, as published, and disjoint."""

from __future__ import annotations

import copy
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from micacl_mm.datasets.base import BaseDFERDataset
from micacl_mm.datasets.splits import RESTORE

from .configs import clip_places
from .core import (
    Case,
    Finding,
    blamed,
    check,
    failed,
    number,
    passed,
    skipped,
    some,
    warned,
)


@check('split files', 'data')
def split_files(case: Case) -> Iterator[Finding]:
    """All split files can be read, those of other folds too."""
    first = _first(case)
    if first is None:
        yield skipped('the dataset has no split files')
        return
    wrong, absent = [], []
    for variant, dataset in _variants(first):
        for split in dataset.SPLITS:
            try:
                case.rows[variant, split] = dataset.read_split(split)
            except FileNotFoundError:
                absent.append(f'{variant} ({split})')
            except PermissionError as error:
                wrong.append(blamed(error, f'make {error.filename} readable'))
            except (ValueError, OSError) as error:
                wrong.append(blamed(error, RESTORE))
    yield from wrong
    if absent and not first.is_drawn:
        yield warned(
            f'no split files of {first.VARIANT} {some(absent, 9)}',
            'unpack the split files of the release again',
        )
    elif not wrong:
        found = dict.fromkeys(str(variant) for variant, _ in case.rows)
        yield passed(f'{first.VARIANT} {", ".join(found)}'.strip())


def _first(case: Case) -> Any:
    """A dataset of ours, which can be asked for its splits."""
    ours = [d for _, d in case.built() if isinstance(d, BaseDFERDataset)]
    return ours[0] if ours else None


def _variants(dataset: BaseDFERDataset) -> Iterator[tuple[Any, Any]]:
    """Views of a set: all folds where it has some, else the one in use."""
    if dataset.VARIANT != 'fold':
        yield getattr(dataset, dataset.VARIANT or '_', 'all'), dataset
        return
    for fold in dataset.OFFICIAL_COUNTS:
        view = copy.copy(dataset)
        view.fold = fold
        yield fold, view


@check('counts', 'data')
def counts(case: Case) -> Iterator[Finding]:
    """Clips per class in each fold are as published."""
    first = _first(case)
    if first is None or not (first.OFFICIAL_COUNTS or first.OFFICIAL_TOTAL):
        yield skipped('this dataset has no published counts')
        return
    if first.is_drawn:
        yield passed('a synthetic set with counts of its own')
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
    total = first.OFFICIAL_TOTAL
    for variant, clips in _clips(case).items() if total else ():
        if len(clips) != total:
            where = f'{first.VARIANT} {variant}'.strip()
            wrong.append(f'{where}: {len(clips)} clips instead of {total}')
    if wrong:
        yield failed(some(wrong), RESTORE)
    elif total:
        yield passed(f'{total} clips, as published')
    else:
        yield passed(f'as published in {known} split files')


def _clips(case: Case) -> dict[Any, set[str]]:
    """Clips of each fold, or of the set."""
    found: dict[Any, set[str]] = defaultdict(set)
    for (variant, _), rows in case.rows.items():
        found[variant] |= {row.video_id for row in rows}
    return found


@check('folds', 'data')
def folds(case: Case) -> Iterator[Finding]:
    """Train and test of each fold are disjoint; the folds form one set."""
    if not case.rows:
        yield skipped('no split files')
        return
    first = _first(case)
    word = first.VARIANT
    names = {
        (f'{word} {variant}'.strip(), split): {row.video_id for row in rows}
        for (variant, split), rows in case.rows.items()
    }
    wrong = [*_leaks(names), *_incomplete(names, first), *_relabelled(case)]
    if wrong:
        yield failed(some(wrong), RESTORE)
    else:
        whole = sorted({str(v) for v, s in names if s == 'test'})
        clips = len(set().union(*names.values()))
        yield passed(
            f'train and test disjoint in {", ".join(whole)}; {clips} clips'
        )


def _leaks(names: dict) -> Iterator[str]:
    for (variant, split), test in names.items():
        both = test & names.get((variant, 'train'), set())
        if split == 'test' and both:
            yield f'{variant}: {some(sorted(both))} are in train and in test'


def _incomplete(names: dict, first: BaseDFERDataset) -> Iterator[str]:
    tests = {v: n for (v, split), n in names.items() if split == 'test'}
    if len(tests) < 2:
        return
    for (one, left), (other, right) in combinations(tests.items(), 2):
        both = sorted(left & right)
        if both:
            yield f'{one} and {other}: {some(both)} are in both tests'
    whole = set().union(*names.values())
    for variant, test in tests.items():
        # A clip that other folds list.
        gone = whole - test - names.get((variant, 'train'), whole)
        if gone and first.imbalance is None:
            yield f'{variant}: {some(sorted(gone))} are missing'
    never = whole - set().union(*tests.values())
    if never and len(tests) == len(first.OFFICIAL_COUNTS):
        yield f'{some(sorted(never))} are in no test'


def _relabelled(case: Case) -> Iterator[str]:
    labels: dict[str, set[int]] = defaultdict(set)
    for rows in case.rows.values():
        for row in rows:
            labels[row.video_id].add(row.label)
    torn = sorted(name for name, found in labels.items() if len(found) > 1)
    if torn:
        yield f'{some(torn)} have another label in another split file'


@check('overlap', 'data')
def overlap(case: Case) -> Iterator[Finding]:
    """No training clip is one for validation or test."""
    train, clean = clip_places(case, 'train'), True
    for name in ('val', 'test'):
        both = sorted(train & clip_places(case, name))
        if both:
            clean = False
            yield failed(
                f'{number(len(both), "clip")} of {name}_dataloader are '
                f'trained on: {some([os.path.basename(p) for p in both])}',
                'give both loaders the same fold, val_ratio and val_seed, '
                'and each a split of its own',
            )
    if clean:
        yield passed(f'none of {len(train)} training clips')
