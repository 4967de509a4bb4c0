"""Rows become entries, entries become ranked tables."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Optional

from micacl_mm.datasets import DFEWDataset
from micacl_mm.datasets.actor_datasets import TAIL_ORDER
from micacl_mm.evaluation import RecallMetric

from .machine import NO_COMMIT
from .rows import (
    ENTRY_KEY,
    METRICS,
    PUBLISHED_SETS,
    SELECTIONS,
    ResultRow,
    classes_of,
    folds_of,
    kind_of,
    official_counts,
    read_matrix,
)
from .statistics import Interval, interval, replicates

#: Entries that differ in one of these are not ranked together.
KIND = (
    *('selection', 'pretraining', 'sampling', 'logit_adjust'),
    *('max_epochs', 'val_ratio'),
)
#: With two, Student's interval is so wide that all seem equal.
LEAST_REPLICATES = 3
_SPLIT = ('dataset', 'subset', 'fold')
#: Rows that agree in these, and not in config_hash, are of other settings.
_NAME = ('method', *KIND)


@dataclass(frozen=True)
class Entry:
    """The replicates of one method under one protocol.

    Runs of one fold with equal confusion matrices count once: different
    seeds do not give the same mistakes, so these are one training, unless
    they predict a single class. Those of one fold and seed by several commits
    are averaged.
    """

    rows: tuple[ResultRow, ...]
    odd_runs: int = 0
    outdated: bool = False
    best: bool = False

    @cached_property
    def counted(self) -> tuple[ResultRow, ...]:
        """The rows, one of those with equal results in a fold."""
        found = {}
        for row in self.rows:
            matrix = read_matrix(row.cells['confusion_matrix'])
            key = row.cells['fold'], str(matrix.tolist())
            if matrix.any(dim=0).sum() == 1:
                key += (row.cells['seed'],)
            found.setdefault(key, row)
        return tuple(found.values())

    def values(self, column: str) -> list[str]:
        """Return the different known values of a column, sorted."""
        found = {row.cells[column] for row in self.rows} - {''}
        return sorted(found, key=lambda text: (len(text), text))

    def text(self, column: str) -> str:
        """Return the values of a column as one text."""
        return ', '.join(self.values(column))

    @cached_property
    def metrics(self) -> dict[str, Optional[Interval]]:
        """UAR, WAR, macro-F1 and recalls in percent; None if unknown."""
        runs = defaultdict(list)
        for row in self.counted:
            matrix = read_matrix(row.cells['confusion_matrix'])
            classes = classes_of(row.cells['dataset'])
            f1 = 100 * RecallMetric.summarise(matrix, classes)['F1']
            for name in (*METRICS, 'F1'):
                value = f1 if name == 'F1' else row.cells[name]
                if value != '':
                    run = row.cells['fold'], row.cells['seed'], float(value)
                    runs[name].append(run)
        return {
            name: interval(replicates(runs[name])) if runs[name] else None
            for name in (*METRICS, 'F1')
        }

    @property
    def uar(self) -> Interval:
        """UAR in percent."""
        return self.metrics['UAR']

    @property
    def name(self) -> str:
        """Its method, with what a test did to the logits."""
        tau = self.text('logit_adjust')
        adjusted = f' + logit adjustment {tau}' if tau else ''
        return self.text('method') + adjusted

    @property
    def rule(self) -> str:
        """How the tested checkpoint was chosen, in words."""
        return SELECTIONS[self.text('selection')]

    @property
    def kind(self) -> tuple[str, ...]:
        """What entries that are ranked together share."""
        return tuple(map(self.text, KIND))

    @property
    def comparable(self) -> bool:
        """Whether it is ranked.

        It is not with fewer than three replicates, with missing folds or
        test clips, with random test sampling, by uncommitted code, with
        other settings than newer rows of its method, or on a drawn set
        without a version, which may be another one each time.
        """
        needed = len(folds_of(self.text('dataset')))
        return (
            self.uar.count >= LEAST_REPLICATES
            and not self.odd_runs
            and not self.outdated
            and not self.random_sampling
            and not self.uncommitted
            and needed in (0, len(self.values('fold')))
            and self.text('dataset') != 'synthetic'
        )

    @property
    def random_sampling(self) -> bool:
        """Whether the test draws its frames or crops."""
        return 'chance in ' in self.text('sampling')

    @property
    def uncommitted(self) -> int:
        """Number of runs by code that is in no commit."""
        return sum(
            any(mark in row.cells['commit'] for mark in ('-dirty', NO_COMMIT))
            or not row.cells['commit']
            for row in self.rows
        )

    @property
    def replicates(self) -> str:
        """What the mean is over: ``3 seeds``, ``3 of 5 folds``, .."""
        folds = self.values('fold')
        needed = len(folds_of(self.text('dataset')))
        runs = {row.key(('fold', 'seed')) for row in self.counted}
        if not needed and len(folds) < 2:
            return _plural(len(runs), 'seed')
        words = _plural(len(folds), 'fold')
        if needed and len(folds) < needed:
            words = f'{len(folds)} of {needed} folds'
        places = [fold for fold, _ in runs]
        seeds = {places.count(fold) for fold in folds}
        if len(seeds) > 1:
            return f'{words}, {len(runs)} runs'
        return words if seeds == {1} else f'{words} x {seeds.pop()} seeds'

    @property
    def runs(self) -> str:
        """Replicates, and what a reader must not overlook, in one line."""
        total = len(self.rows)
        repeated = total - len(self.counted)
        notes = {
            f'{self.odd_runs} of {total} runs not on exactly the official '
            'test clips': self.odd_runs,
            f'older settings, of commit {self.text("commit")}': self.outdated,
            'random test sampling': self.random_sampling,
            f'{self.uncommitted} of {total} runs from uncommitted code': (
                self.uncommitted
            ),
            'frames differ from the reference': (
                'differ' in self.values('frames')
            ),
            f'{_plural(repeated, "run")} with the result of another, '
            'counted once': repeated,
            f'code of commits {self.text("commit")}': (
                len(self.values('commit')) > 1 and not self.outdated
            ),
            'not ranked': not self.comparable,
            'not committed': not self.rows[0].group,
        }
        return '; '.join(
            [
                self.replicates,
                *(text for text, holds in notes.items() if holds),
            ]
        )


def figure(value: Optional[Interval]) -> str:
    """``68.42 ± 1.20``, ``68.42``, or ``-`` where nothing is known."""
    if value is None:
        return '-'
    if value.half_width is None:
        return f'{value.mean:.2f}'
    return f'{value.mean:.2f} ± {value.half_width:.2f}'


def _plural(count: int, noun: str) -> str:
    return f'{count} {noun}' + 's' * (count != 1)


def names_of(entries: Iterable[Entry]) -> list[str]:
    """Names; with sampling, hash or processes where these differ."""
    entries, names = list(entries), []
    for entry in entries:
        same = [
            other
            for other in entries
            if (other.rule, other.name) == (entry.rule, entry.name)
        ]
        differing = [
            entry.text(column)
            for column in ('sampling', 'config_hash', 'copy', 'processes')
            if len({other.text(column) for other in same}) > 1
        ]
        found = f' ({"; ".join(differing)})' if differing else ''
        names.append(entry.name + found)
    return names


class Table(NamedTuple):
    """Entries that were tested on the same clips, best UAR first."""

    dataset: str
    title: str
    ablation: bool
    order: tuple[str, ...]
    entries: list[Entry]


def build_board(rows: Iterable[ResultRow]) -> list[Table]:
    """Group rows into tables: real sets, drawn ones, ablations."""
    most: dict[tuple[str, ...], int] = defaultdict(int)
    tables = defaultdict(list)
    for row in rows:
        split = row.key(_SPLIT)  # test clips that were seen of each
        most[split] = max(most[split], int(row.cells['clips']))
        ablation = row.group.startswith('ablation')
        subset = row.cells['subset'].removeprefix('all')
        tables[ablation, row.cells['dataset'], subset].append(row)
    return [
        Table(
            dataset,
            ', '.join(filter(None, [dataset_name(dataset), subset]))
            + (': ablation' if ablation else ''),
            ablation,
            head_to_tail(dataset),
            _rank(_entries(members, most)),
        )
        for (ablation, dataset, subset), members in sorted(
            tables.items(), key=lambda item: _place(*item[0])
        )
    ]


def _entries(
    rows: Iterable[ResultRow], most: dict[tuple[str, ...], int]
) -> list[Entry]:
    """Entries of one table."""
    groups, latest = defaultdict(list), {}
    for row in rows:
        # Runs that are not committed stand beside the committed entry.
        groups[bool(row.group), row.key(ENTRY_KEY)].append(row)
        name, date = row.key(_NAME), row.cells['date']
        # What is not committed makes nothing outdated.
        if row.group and date >= latest.get(name, ('',))[0]:
            latest[name] = date, row.cells['config_hash']
    found = []
    for members in groups.values():
        members.sort(key=lambda r: (r.cells['fold'], int(r.cells['seed'])))
        odd = sum(_is_odd(row, most[row.key(_SPLIT)]) for row in members)
        newest = latest.get(members[0].key(_NAME), ('', ''))[1]
        committed = members[0].group
        outdated = committed and members[0].cells['config_hash'] != newest
        found.append(Entry(tuple(members), odd, bool(outdated)))
    return found


def _place(ablation: bool, dataset: str, subset: str) -> tuple:
    by_level = dataset
    for rank, level in enumerate(('easy', 'medium', 'hard')):
        by_level = by_level.replace(level, str(rank))
    return ablation, dataset == 'synthetic', by_level, subset


def _is_odd(row: ResultRow, clips: int) -> bool:
    """Whether a run was not on exactly the test clips of the set."""
    if row.cells['dataset'] == 'synthetic':
        return False  # another number of clips each time
    official = official_counts(row.cells)
    counts = read_matrix(row.cells['confusion_matrix']).sum(dim=1).tolist()
    return counts != official if official else sum(counts) != clips


def head_to_tail(dataset: str) -> tuple[str, ...]:
    """Return the classes, those with the most training clips first.

    Drawn sets have DFEW's proportions. Where the counts are not known, the
    order is that of the labels.
    """
    classes = classes_of(dataset)
    if dataset.startswith('cremad_lt'):
        order = dataset.split('-')[2] if '-' in dataset else ''
        initials = {name[0].lower(): name for name in classes}
        return tuple(initials[letter] for letter in order) or TAIL_ORDER
    counts = (kind_of(dataset) or DFEWDataset).OFFICIAL_COUNTS
    train = next(iter(counts.values()), {}).get('train', [0] * len(classes))
    by_name = dict(zip(classes, train, strict=True))
    return tuple(sorted(classes, key=lambda name: -by_name[name]))


def dataset_name(dataset: str) -> str:
    """Return the name of a set for people."""
    name, _, rest = dataset.partition('-')
    if name == 'synthetic' and rest:
        return f'Synthetic {rest.replace("-", ", ")}'
    names = {
        **PUBLISHED_SETS,
        'cremad_lt': 'CREMA-D-LT',
        'caer': 'CAER',
        'synthetic': 'Other drawn sets, no two the same',
    }
    return ', '.join(filter(None, [names[name], rest]))


def _rank(entries: Iterable[Entry]) -> list[Entry]:
    """Best UAR first; mark what the best of its kind does not exceed."""
    entries = sorted(entries, key=lambda e: (-e.uar.mean, e.text('method')))
    bounds: dict[tuple[str, ...], float] = {}
    ranked = []
    for entry in entries:
        best = False
        if entry.comparable:
            low = entry.uar.mean - entry.uar.half_width
            bound = bounds.setdefault(entry.kind, low)
            best = entry.uar.mean + entry.uar.half_width >= bound
        ranked.append(replace(entry, best=best))
    return ranked
