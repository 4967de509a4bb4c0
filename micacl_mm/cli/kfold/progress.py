"""How far the runs are, and how long the rest may take."""

import math
import time
from collections.abc import Iterator, Sequence

from .run import Run

_STEPS = 10  # reports of a training, beside that of its first epoch


class Progress:
    """Counts finished runs and the epochs of unfinished ones.

    Args:
        runs (Sequence[Run]): Those that are to be run.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._shares = {run.name: run.share() for run in runs}
        self._before = sum(self._shares.values())
        self._started = time.monotonic()
        self._done = 0

    def finish(self, run: Run) -> str:
        """Count a finished run and say how many are."""
        self._shares[run.name] = 1.0
        self._done += 1
        elapsed = clock(time.monotonic() - self._started)
        total = len(self._shares)
        return f'{self._done} of {total} done in {elapsed}{self._left()}'

    def news(self) -> Iterator[str]:
        """Say which trainings have come a good deal further."""
        for run in self._runs:
            told = self._shares[run.name]
            share = max(told, run.share())  # its note may be half written
            self._shares[run.name] = share
            if math.ceil(_STEPS * share) > math.ceil(_STEPS * told):
                yield f'{run.name}: {share:.0%} trained{self._left()}'

    def _left(self) -> str:
        share = sum(self._shares.values())
        gained, rest = share - self._before, len(self._shares) - share
        if gained <= 0 or not rest:
            return ''
        elapsed = time.monotonic() - self._started
        return f', about {clock(elapsed / gained * rest)} left'


def clock(seconds: float) -> str:
    """Format a duration as hours:minutes:seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}'
