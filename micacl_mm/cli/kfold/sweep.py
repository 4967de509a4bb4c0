"""All runs, some of them at a time, with their progress."""

import math
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from micacl_mm.records.machine import (
    COMMAND_VARIABLE,
    command_line,
    count_cores,
)
from micacl_mm.records.record import metric_of

from .run import Run, RunError, ToolError

_SHOWN = 15  # lines of the log of a failed run
_LOOK = 5.0  # seconds between two looks at what runs
_PATIENCE = 15  # seconds that a tool has to end by itself
_STEPS = 10  # reports of a training, beside that of its first epoch


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
            # A second Ctrl-C must not stop this; it reaches the tools, too.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end()
            if not isinstance(error, KeyboardInterrupt):
                raise
    _say('\nstopped; the same command continues from here')
    return 130


def _follow(
    todo: Sequence[Run], pool: ThreadPoolExecutor, processes: 'Processes'
) -> int:
    """Start the runs and report how they end."""
    progress, failed = Progress(todo), threading.Event()

    def execute(run: Run) -> Optional[dict[str, Any]]:
        if failed.is_set():  # those that run may end, no further one starts
            return None
        _say(f'{run.name}: running, log in {run.log}')
        try:
            return run.execute(processes.run)
        except BaseException:
            failed.set()
            raise

    futures = {pool.submit(execute, run): run for run in todo}
    pending = set(futures)
    while pending:
        ended, pending = wait(pending, _LOOK, FIRST_COMPLETED)
        for future in ended:
            run = futures[future]
            try:
                record = future.result()
            except (RunError, ValueError, OSError) as error:
                _report_failure(run, error)
                continue
            if record:
                done = progress.finish(run)
                _say(f'{run.name}: {_figures(record)}; {done}')
        for text in progress.news():
            _say(text)
    return int(failed.is_set())


def _report_failure(run: Run, error: Exception) -> None:
    lines = []
    if isinstance(error, ToolError):
        text = run.log.read_text(errors='replace')
        lines = text.rstrip().splitlines()[-_SHOWN:]
    shown = ''.join(f'  | {line}\n' for line in lines)
    _say(
        f'{shown}{run.name}: failed, {error}\nIts log is {run.log}. '
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


class Processes:
    """The tools that run now, started from several threads.

    Args:
        jobs (int): How many run at a time; they share the cores.
    """

    def __init__(self, jobs: int) -> None:
        self._running: set[subprocess.Popen] = set()
        self._guard = threading.Lock()
        self._ended = False
        self._environment = {COMMAND_VARIABLE: command_line()}
        if jobs > 1 and 'OMP_NUM_THREADS' not in os.environ:
            threads = max(1, count_cores() // (2 * jobs))
            self._environment['OMP_NUM_THREADS'] = str(threads)

    def run(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
    ) -> int:
        """Run a command to its end.

        Args:
            command (Sequence[str]): Program and arguments.
            log (Path): Gets all that it prints, after what is there.
            environment (Mapping[str, str]): Variables beside those of this
                process.

        Returns:
            int: its exit code.
        """
        with log.open('ab') as stream:
            stream.write(f'\n$ {shlex.join(command)}\n'.encode())
            stream.flush()
            with self._guard:
                if self._ended:
                    return 130
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._environment, **environment},
                )
                self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)

    def end(self) -> None:
        """End what runs, and start nothing any more."""
        with self._guard:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


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
            before = self._shares[run.name]
            share = self._shares[run.name] = max(before, run.share())
            if math.ceil(_STEPS * share) > math.ceil(_STEPS * before):
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
