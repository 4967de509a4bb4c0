"""All runs, some of them at a time, with their progress."""

import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from micacl_mm.leaderboard.machine import command_line
from micacl_mm.leaderboard.record import metric_of

from .processes import Processes
from .run import Run, RunError

_SHOWN = 15  # lines of the log of a failed run


def run_all(runs: Sequence[Run], jobs: int) -> int:
    """Run what is not finished.

    Args:
        runs (Sequence[Run]): In the order in which they start.
        jobs (int): How many at the same time.

    Returns:
        int: exit code: 0, 1 if a run failed, 130 if interrupted.
    """
    todo = []
    for run in runs:
        record = run.read()
        if record is None:
            todo.append(run)
        else:
            _say(f'{run.name}: finished before, {_figures(record)}')
    processes = Processes(jobs)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            with _interruptible():
                return _follow(todo, pool, processes)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end()
            if not isinstance(error, KeyboardInterrupt):
                raise
    _say('\nstopped; the same command goes on from here')
    return 130


def _follow(
    todo: Sequence[Run], pool: ThreadPoolExecutor, processes: Processes
) -> int:
    """Start the runs and tell how they end."""
    command, started = command_line(), time.monotonic()

    def execute(run: Run) -> dict[str, Any]:
        _say(f'{run.name}: running, log in {run.log}')
        return run.execute(processes, command)

    futures = {pool.submit(execute, run): run for run in todo}
    pending, done, failed = set(futures), 0, False
    while pending:
        ended, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in ended:
            run = futures[future]
            try:
                record = future.result()
            except (RunError, ValueError, OSError) as error:
                failed = True
                # Those that run may end, no further one starts.
                pending -= {other for other in pending if other.cancel()}
                _tell_failure(run, error)
                continue
            done += 1
            times = _times(time.monotonic() - started, done, len(todo))
            _say(f'{run.name}: {_figures(record)}; {times}')
    return 1 if failed else 0


def _tell_failure(run: Run, error: Exception) -> None:
    lines = []
    if run.log.is_file():
        text = run.log.read_text(errors='replace')
        lines = text.rstrip().splitlines()[-_SHOWN:]
    shown = ''.join(f'  | {line}\n' for line in lines)
    _say(
        f'{shown}{run.name}: failed, {error}; its log is {run.log}. '
        'Finished runs stay; the same command tries again.'
    )


def _figures(record: dict[str, Any]) -> str:
    uar, war = (100 * metric_of(record, name) for name in ('UAR', 'WAR'))
    return f'UAR {uar:.2f}, WAR {war:.2f}, epoch {record["epoch"]}'


def _times(elapsed: float, done: int, total: int) -> str:
    text = f'{done} of {total} done in {clock(elapsed)}'
    if done == total:
        return text
    return f'{text}, about {clock(elapsed / done * (total - done))} left'


def clock(seconds: float) -> str:
    """Format a duration as hours:minutes:seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}'


@contextmanager
def _interruptible() -> Iterator[None]:
    """A closed terminal and ``kill`` end the runs as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    names = [n for n in ('SIGTERM', 'SIGHUP') if hasattr(signal, n)]
    numbers = [getattr(signal, name) for name in names]
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(text, flush=True)
