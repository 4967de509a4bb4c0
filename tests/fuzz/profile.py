"""How long and how often a property is tried.

CI takes few examples and always the same ones; ``python -m tests.fuzz`` takes
many, and with ``--seed`` others.
"""

import functools
import os
import signal
from collections import Counter
from contextlib import contextmanager

from hypothesis import HealthCheck, seed, settings

EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES') or 0)
SEED = os.environ.get('FUZZ_SEED')
#: Examples that were tried, by the name of the property.
TRIED = Counter()
#: Seconds of processor time, not of the clock: a busy machine is no fault.
DEADLINE = 10.0


class TooLongError(Exception):
    """An example took longer than any honest one could."""


@contextmanager
def bounded(limit=DEADLINE):
    """Stop what does not come to an end, in a loop of Python at least."""

    def stop(*_):
        raise TooLongError(f'more than {limit} s of processor time')

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzzed(examples=30):
    """Decorate a property, below ``given``."""

    def decorate(check):
        @functools.wraps(check)
        def counted(*args, **kwargs):
            TRIED[check.__name__] += 1
            with bounded():
                check(*args, **kwargs)

        decorated = settings(
            max_examples=EXAMPLES or examples,
            derandomize=SEED is None,
            database=None,
            deadline=None,  # of the clock; see above
            suppress_health_check=list(HealthCheck),
        )(counted)
        return decorated if SEED is None else seed(int(SEED))(decorated)

    return decorate
