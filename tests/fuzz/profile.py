"""How long and how often a property is tried.

CI takes few examples and always the same ones; FUZZ_EXAMPLES=800 takes many
new ones, those of ``--hypothesis-seed N`` again.
"""

import os
import signal
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES') or 0)


@contextmanager
def bounded(limit=10.0):
    """Stop what does not end within so much processor time."""

    def stop(*_):
        raise AssertionError(f'more than {limit} s of processor time')

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzzed(examples=30):
    """Decorate a property, below ``given``."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,  # of the clock
        suppress_health_check=list(HealthCheck),
    )
