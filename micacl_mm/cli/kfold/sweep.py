"""All runs, some of them at a time, with their progress."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from micacl_mm.records.machine import command_line
from micacl_mm.records.record import metric_of

from .processes import Processes
from .progress import Progress
from .run import Run, RunError

_SHOWN = 15  # lines of the log of a failed run
_LOOK = 5.0  # seconds between two looks at what runs


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
    command, progress = command_line(), Progress(todo)

    def execute(run: Run) -> dict[str, Any]:
        _say(f'{run.name}: running, log in {run.log}')
        return run.execute(processes, command)

    futures = {pool.submit(execute, run): run for run in todo}
    pending, failed = set(futures), False
    while pending:
        ended, pending = wait(pending, _LOOK, FIRST_COMPLETED)
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
            _say(f'{run.name}: {_figures(record)}; {progress.finish(run)}')
        for text in progress.news():
            _say(text)
    return 1 if failed else 0


def _tell_failure(run: Run, error: Exception) -> None:
    lines = []
    if getattr(error, 'see_log', False):
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


@contextmanager
def _interruptible() -> Iterator[None]:
    """A closed terminal and ``kill`` end the runs as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    names = [n for n in ('SIGTERM', 'SIGHUP') if hasattr(signal, n)]
    before = {n: signal.getsignal(getattr(signal, n)) for n in names}
    for name, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(getattr(signal, name), interrupt)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _say(text: str) -> None:
    print(text, flush=True)
