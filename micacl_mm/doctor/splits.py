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

from .core import Case, Finding, check, number, some


@check('split files', 'data')
def split_files(case: Case) -> Iterator[Finding]:
    """All split files can be read, and list as many clips as published."""
    first = case.ours
    if first is None:
        yield Finding.skipped('the dataset has no split files')
        return
    findings, absent = [], []
    for variant, dataset in _variants(first):
        for split in dataset.SPLITS:
            where = f'{first.VARIANT} {variant}, {split}'
            try:
                rows = case.rows[variant, split] = dataset.read_split(split)
            except FileNotFoundError:
                absent.append(where)
            except PermissionError as error:
                cure = f'make {error.filename} readable'
                findings.append(Finding.blamed(error, cure))
            except (ValueError, OSError) as error:
                findings.append(Finding.blamed(error, RESTORE))
            else:
                findings += _counts(where, dataset, variant, split, rows)
    if not findings:
        findings += _total(first, case.rows)
    if absent and not first.is_drawn:
        cure = 'unpack the split files of the release again'
        findings.append(
            Finding.warned(f'no split files of {some(absent)}', cure)
        )
    text = f'{number(len(case.rows), "list")} of {_kind(first)}'
    yield from findings or [Finding.passed(text)]


def _variants(dataset: BaseDFERDataset) -> Iterator[tuple[Any, Any]]:
    """Views of a set: all folds where it has some, else the one in use."""
    if dataset.VARIANT != 'fold':
        yield getattr(dataset, dataset.VARIANT or '_', 'all'), dataset
        return
    for fold in dataset.OFFICIAL_COUNTS:
        view = copy.copy(dataset)
        view.fold = fold
        yield fold, view


def _kind(dataset: BaseDFERDataset) -> str:
    if dataset.is_drawn:
        return 'a synthetic set'
    known = dataset.OFFICIAL_COUNTS or dataset.OFFICIAL_TOTAL
    return type(dataset).__name__ + (', as published' if known else '')


def _total(dataset: BaseDFERDataset, rows: dict) -> Iterator[Finding]:
    """Compare the clips of each fold, or of the set, with the published."""
    found: dict[Any, set[str]] = defaultdict(set)
    for (variant, _), listed in rows.items():
        found[variant] |= {row.video_id for row in listed}
    total = dataset.OFFICIAL_TOTAL
    for variant, clips in found.items():
        if total and not dataset.is_drawn and len(clips) != total:
            where = f'{dataset.VARIANT} {variant}'.strip()
            text = f'{where}: {len(clips)} clips instead of {total}'
            yield Finding.failed(text, RESTORE)


def _counts(
    where: str, dataset: Any, variant: Any, split: str, rows: list
) -> Iterator[Finding]:
    """Compare the clips of each class with the published ones."""
    official = dataset.OFFICIAL_COUNTS.get(variant, {}).get(split)
    if official is None or dataset.is_drawn:
        return
    found = Counter(row.label for row in rows)
    differing = [
        f'{name} {found[i]} instead of {official[i]}'
        for i, name in enumerate(dataset.CLASSES)
        if found[i] != official[i]
    ]
    if differing:
        yield Finding.failed(f'{where}: {some(differing, 7)}', RESTORE)


@check('folds', 'data')
def folds(case: Case) -> Iterator[Finding]:
    """Train and test of each fold are disjoint; the folds form one set."""
    if not case.rows:
        yield Finding.skipped('no split files')
        return
    labels: dict[str, set[int]] = defaultdict(set)
    for rows in case.rows.values():
        for row in rows:
            labels[row.video_id].add(row.label)
    torn = sorted(name for name, found in labels.items() if len(found) > 1)
    wrong = list(_misplaced(case))
    if torn:
        wrong.append(f'{some(torn)} have another label in another split file')
    if wrong:
        yield Finding.failed(some(wrong), RESTORE)
    else:
        whole = sorted({str(v) for v, s in case.rows if s == 'test'})
        yield Finding.passed(
            f'train and test disjoint in {", ".join(whole)}; '
            f'{number(len(labels), "clip")}'
        )


def _misplaced(case: Case) -> Iterator[str]:
    """Clips that a fold has twice, or lacks, or that not one fold tests."""
    dataset, names = case.ours, defaultdict(dict)
    for (variant, split), rows in case.rows.items():
        where = f'{dataset.VARIANT} {variant}'.strip()
        names[where][split] = {row.video_id for row in rows}
    parts = [part for splits in names.values() for part in splits.values()]
    whole = set().union(*parts)
    for variant, splits in names.items():
        for one, other in combinations(splits, 2):
            both = sorted(splits[one] & splits[other])
            if both:
                yield f'{variant}: {some(both)} are in {one} and in {other}'
        gone = sorted(whole.difference(*splits.values()))
        # From training clips that are thinned out some are missing.
        if gone and len(splits) > 1 and dataset.imbalance is None:
            yield f'{variant}: {some(gone)} are missing'
    tests = [splits['test'] for splits in names.values() if 'test' in splits]
    if 1 < len(tests) == len(dataset.OFFICIAL_COUNTS):
        count = Counter(name for test in tests for name in test)
        odd = sorted(name for name in whole if count[name] != 1)
        if odd:
            yield f'{some(odd)} are not in exactly one test'


@check('overlap', 'data')
def overlap(case: Case) -> Iterator[Finding]:
    """No clip is in two loaders."""
    places = {name: _places(case, name) for name in case.datasets}
    clean = True
    for one, other in combinations(places, 2):
        both = sorted(places[one] & places[other])
        if not both:
            continue
        clean = False
        named = some([os.path.basename(path) for path in both])
        text = f'{number(len(both), "clip")} in {one} and {other}: {named}'
        if one == 'train':
            yield Finding.failed(
                text,
                'give both loaders the same fold, val_ratio and val_seed, '
                'and each a split of its own',
            )
        else:
            yield Finding.warned(
                f'{text}; a checkpoint selected on them flatters the result',
                'set --val-ratio 0.1',
            )
    if clean:
        yield Finding.passed(
            ' and '.join(f'{len(p)} {n}' for n, p in places.items())
        )


def _places(case: Case, loader: str) -> set[str]:
    """Folders or files of the clips of a loader."""
    places = set()
    for dataset in case.datasets[loader]:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            keys = ('frame_dir', 'filename', 'video_id')
            found = (str(info[key]) for key in keys if info.get(key))
            places.add(next(found, f'{id(dataset)}/{index}'))
    return places
