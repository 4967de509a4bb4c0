"""One line of the board."""

from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from .machine import NO_COMMIT
from .row_checks import METRICS, SELECTIONS
from .rows import ResultRow
from .statistics import Interval, interval, replicates

NUM_FOLDS = {'dfew': 5}
#: With two, Student's interval is so wide that all seem equal.
LEAST_REPLICATES = 3


@dataclass(frozen=True)
class Entry:
    """The replicates of one method under one protocol.

    Args:
        rows (tuple[ResultRow, ...]): They agree in
            :data:`~micacl_mm.records.rows.ENTRY_KEY`.
        odd_runs (int): Runs that were not tested on all clips of the set.
            Defaults to 0.
        best (bool): Its UAR cannot be told from the best one. Defaults to
            False.
    """

    rows: tuple[ResultRow, ...]
    odd_runs: int = 0
    best: bool = False

    def values(self, column: str) -> list[str]:
        """Return the different known values of a column, sorted."""
        found = {row.cells[column] for row in self.rows} - {''}
        return sorted(found, key=lambda text: (len(text), text))

    def text(self, column: str) -> str:
        """Return the values of a column as one text."""
        return ', '.join(self.values(column))

    @cached_property
    def metrics(self) -> dict[str, Optional[Interval]]:
        """UAR, WAR and recalls in percent; None where no row knows it."""
        return {name: self._interval(name) for name in METRICS}

    def _interval(self, name: str) -> Optional[Interval]:
        found = [
            (row.cells['fold'], row.cells['seed'], float(row.cells[name]))
            for row in self.rows
            if row.cells[name]
        ]
        return interval(replicates(found)) if found else None

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
    def comparable(self) -> bool:
        """Whether its interval may be held against that of others.

        So not with fewer than three replicates, with folds or test clips
        missing, with chance in the test, by code that nobody else has, or on
        a drawn set without a version, which may be another one each time.
        """
        needed = NUM_FOLDS.get(self.text('dataset'))
        return (
            self.uar.count >= LEAST_REPLICATES
            and not self.odd_runs
            and not self.by_chance
            and not self.unknown_code
            and needed in (None, len(self.values('fold')))
            and self.text('dataset') != 'synthetic'
        )

    @property
    def by_chance(self) -> bool:
        """Whether the sampling of the test draws."""
        return 'chance in ' in self.text('sampling')

    @property
    def unknown_code(self) -> int:
        """Number of runs by code that stands in no commit."""
        return sum(
            any(mark in row.cells['commit'] for mark in ('-dirty', NO_COMMIT))
            or not row.cells['commit']
            for row in self.rows
        )

    @property
    def replicates(self) -> str:
        """What the mean is over: ``3 seeds``, ``3 of 5 folds``, .."""
        folds = self.values('fold')
        needed = NUM_FOLDS.get(self.text('dataset'))
        if needed is None and len(folds) < 2:
            return _plural(len(self.rows), 'seed')
        words = _plural(len(folds), 'fold')
        if needed and len(folds) < needed:
            words = f'{len(folds)} of {needed} folds'
        rows = [row.cells['fold'] for row in self.rows]
        seeds = {rows.count(fold) for fold in folds}
        if len(seeds) > 1:
            return f'{words}, {len(rows)} runs'
        return words if seeds == {1} else f'{words} x {seeds.pop()} seeds'

    @property
    def notes(self) -> list[str]:
        """What a reader must not overlook."""
        notes = []
        if self.odd_runs:
            notes.append(
                f'{self.odd_runs} of {len(self.rows)} runs not on exactly '
                'the test clips of the set'
            )
        if self.by_chance:
            notes.append('tested by chance')
        if self.unknown_code:
            notes.append(
                f'{self.unknown_code} of {len(self.rows)} runs by code that '
                'stands in no commit'
            )
        if 'differ' in self.values('frames'):
            notes.append('on frames that differ from the reference')
        if not self.comparable:
            notes.append('not compared')
        if self.fresh:
            notes.append('not committed')
        return notes

    @property
    def fresh(self) -> bool:
        """Whether a row of it is not committed."""
        return not all(row.group for row in self.rows)

    def protocol(self) -> list[tuple[str, str]]:
        """Name and value of what one must know to run it again."""
        first = self.rows[0].cells
        which = f'fold {first["fold"]}, ' if first['fold'] else ''
        config = [self.text('config'), f'hash {self.text("config_hash")}']
        spread = f', std {self.uar.std:.2f}' if self.uar.count > 1 else ''
        pairs = [
            ('Selection', self.rule),
            ('Epoch', self._epochs()),
            ('Validation slice', self.text('val_ratio')),
            ('Sampling', self.text('sampling')),
            ('Post-hoc logit adjustment, tau', self.text('logit_adjust')),
            ('UAR over', self.replicates + spread),
            ('Folds', self.text('fold')),
            ('Seeds', self.text('seed')),
            ('Processes', self.text('processes')),
            ('Test clips', self.text('clips')),
            ('Frames of the set', self.text('frames')),
            ('Config', ', '.join(filter(None, config))),
            ('Version', self.text('version')),
            ('Commit', self.text('commit')),
            ('Bags a second', self.text('bags_per_second')),
            ('Machine', self.text('machine')),
            ('Date', self.text('date')),
            (f'Command ({which}seed {first["seed"]})', first['command']),
        ]
        return [(name, value) for name, value in pairs if value]

    def _epochs(self) -> str:
        if not self.values('max_epochs'):
            return ''
        chosen = ', '.join(row.cells['epoch'] or '?' for row in self.rows)
        return f'{chosen} of {self.text("max_epochs")}'


def _plural(count: int, noun: str) -> str:
    return f'{count} {noun}' + 's' * (count != 1)
