"""Rows become entries, entries become tables."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from micacl_mm.datasets import DFEWDataset, FERV39kDataset

from .entry import Entry
from .row_checks import CLASSES, official_counts, read_matrix
from .rows import ENTRY_KEY, ResultRow

#: Entries that differ in one of these are not held against each other.
KIND = (
    'selection',
    'pretraining',
    'sampling',
    'logit_adjust',
    'max_epochs',
    'val_ratio',
)
_SPLIT = ('dataset', 'subset', 'fold')


class Table(NamedTuple):
    """Entries that were tested on the same clips, best UAR first.

    Args:
        dataset (str): As in the rows.
        title (str): For people.
        ablation (bool): Whether they come from ``ablation*.csv``.
        order (tuple[str, ...]): Classes from head to tail, by the number of
            training clips.
        entries (list[Entry]): Best UAR first.
    """

    dataset: str
    title: str
    ablation: bool
    order: tuple[str, ...]
    entries: list[Entry]


def build_board(rows: Iterable[ResultRow]) -> list[Table]:
    """Group rows into entries, and entries into tables.

    Args:
        rows (Iterable[ResultRow]): Checked rows, no run twice.

    Returns:
        list[Table]: DFEW, FERV39k, then the drawn sets, ablations last.
    """
    rows = list(rows)
    clips = _clips_of_sets(rows)
    groups = defaultdict(list)
    for row in rows:
        ablation = row.group.startswith('ablation')
        groups[(ablation, *row.key(ENTRY_KEY))].append(row)
    tables = defaultdict(list)
    for (ablation, dataset, subset, *_), members in groups.items():
        odd = sum(
            _is_odd(row, clips[row.key(_SPLIT)])
            for row in members
            if dataset != 'synthetic'  # another number of clips each time
        )
        entry = Entry(tuple(sorted(members, key=_numbers)), odd)
        subset = '' if subset == 'all' else subset
        tables[ablation, dataset, subset].append(entry)
    return [
        Table(
            dataset,
            _title(ablation, dataset, subset),
            ablation,
            head_to_tail(dataset),
            _sort_and_mark(entries),
        )
        for (ablation, dataset, subset), entries in sorted(
            tables.items(), key=lambda item: _place(*item[0])
        )
    ]


def _place(ablation: bool, dataset: str, subset: str) -> tuple:
    by_level = dataset
    for rank, level in enumerate(('easy', 'medium', 'hard')):
        by_level = by_level.replace(level, str(rank))
    return ablation, dataset == 'synthetic', by_level, subset


def _numbers(row: ResultRow) -> tuple[int, int]:
    return int(row.cells['fold'] or 0), int(row.cells['seed'])


def _is_odd(row: ResultRow, clips: int) -> bool:
    """Whether a run was not on exactly the test clips of the set."""
    official = official_counts(row.cells)
    counts = read_matrix(row.cells['confusion_matrix']).sum(dim=1).tolist()
    return counts != official if official else sum(counts) != clips


def _clips_of_sets(rows: Sequence[ResultRow]) -> dict[tuple[str, ...], int]:
    """The most test clips that were seen of each split."""
    known: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        key = row.key(_SPLIT)
        known[key] = max(known[key], int(row.cells['clips']))
    return known


def head_to_tail(dataset: str) -> tuple[str, ...]:
    """Return the classes, those with the most training clips first.

    Drawn sets have DFEW's proportions.
    """
    counts = DFEWDataset.OFFICIAL_COUNTS[1]['train']
    if dataset == 'ferv39k':
        counts = FERV39kDataset.OFFICIAL_COUNTS['all']['train']
    by_name = dict(zip(CLASSES, counts, strict=True))
    return tuple(sorted(CLASSES, key=lambda name: -by_name[name]))


def dataset_name(dataset: str) -> str:
    """Return the name of a set for people."""
    if dataset.startswith('synthetic-'):
        _, version, level = dataset.split('-')
        return f'Synthetic {version}, {level}'
    names = {'dfew': 'DFEW', 'ferv39k': 'FERV39k'}
    return names.get(dataset, 'Other drawn sets, no two the same')


def _title(ablation: bool, dataset: str, subset: str) -> str:
    title = dataset_name(dataset)
    if subset:
        title += f', {subset}'
    return f'{title}: ablation' if ablation else title


def _sort_and_mark(entries: Iterable[Entry]) -> list[Entry]:
    """Best UAR first; mark what the best of its kind does not exceed."""
    entries = sorted(
        entries, key=lambda entry: (-entry.uar.mean, entry.text('method'))
    )
    bounds: dict[tuple[str, ...], float] = {}
    for entry in entries:
        if entry.comparable:
            low = entry.uar.mean - entry.uar.half_width
            bounds.setdefault(_kind(entry), low)
    return [
        replace(
            entry,
            best=entry.comparable
            and entry.uar.mean + entry.uar.half_width >= bounds[_kind(entry)],
        )
        for entry in entries
    ]


def _kind(entry: Entry) -> tuple[str, ...]:
    """What entries must agree in to be held against each other."""
    return tuple(map(entry.text, KIND))
