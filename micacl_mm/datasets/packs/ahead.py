"""Work done ahead by threads, a little at a time."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


def map_ahead(
    work: Callable[[T], R], items: Iterable[T], workers: int
) -> Iterator[R]:
    """Results in the order of ``items``, some of them made ahead.

    Unlike ``Executor.map`` it holds two results a worker and no more, and
    leaves at once when it is closed or interrupted. Threads do, since
    reading, decoding and checksums run beside each other.

    Args:
        work (Callable): What to do with each item.
        items (Iterable): The items.
        workers (int): Threads.

    Yields:
        Result of each item.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        flight = deque(
            pool.submit(work, item) for item in islice(waiting, 2 * workers)
        )
        try:
            while flight:
                result = flight.popleft().result()
                for item in islice(waiting, 1):
                    flight.append(pool.submit(work, item))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class Progress:
    """One line on stderr, renewed on a terminal, with the time left.

    Args:
        total (int): Number of clips.
        show (bool): False for silence.
    """

    def __init__(self, total: int, show: bool) -> None:
        self.total = total
        self.show = show
        self.done = 0
        self.start = time.monotonic()

    def step(self, failed: int) -> None:
        """One clip more is done."""
        self.done += 1
        live = sys.stderr.isatty()
        last = self.done == self.total
        if not self.show or not (live or last or self.done % 500 == 0):
            return
        rate = self.done / max(time.monotonic() - self.start, 1e-3)
        left = timedelta(seconds=round((self.total - self.done) / rate))
        text = (
            f'{self.done}/{self.total} clips, {failed} problems, '
            f'{rate:.0f} a second, {left} left'
        )
        end = '\r' if live and not last else '\n'
        print(f'{text:<70}', end=end, file=sys.stderr, flush=True)
