"""One pool of processes and one progress bar for all long jobs."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from typing import Optional, TypeVar

import cv2
from rich.console import Console
from rich.progress import Progress

from micacl_mm.errors import MICACLError

#: Why there is no result of an item.
DIED = (
    'the process died over it: the file makes a library crash, or needs more '
    'memory than there is'
)

T = TypeVar('T')
R = TypeVar('R')


def count_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows


def run_all(
    items: Sequence[T],
    work: Callable[[T], R],
    workers: int,
    died: Optional[Callable[[T], R]] = None,
    progress: bool = False,
) -> Iterator[R]:
    """Work on items in processes; results come as they get ready.

    OpenCV uses one thread in each process; ``work`` is sent to each once.
    Ctrl-C, and closing the iterator, ends the processes at once. Where
    ``died`` is None, a single worker is this process, and one that dies an
    error. Else ``died`` makes the result of an item over which a process dies,
    such as a file that makes a library crash.
    """
    results = _run_all(items, work, workers, died)
    return track(results, len(items), progress)


def _run_all(
    items: Sequence[T],
    work: Callable[[T], R],
    workers: int,
    died: Optional[Callable[[T], R]],
) -> Iterator[R]:
    threads = cv2.getNumThreads()
    # A forked process would wait for OpenCV's threads for ever.
    cv2.setNumThreads(1)
    try:
        if workers == 1 and died is None:
            yield from map(work, items)
            return
        waiting = deque(items)
        while waiting:
            # One of these has killed its process, and all the others'.
            for item in (yield from _run(waiting, work, workers)):
                if died is None:
                    raise MICACLError(
                        'a worker process was killed, perhaps for lack of '
                        'memory',
                        'run it again with fewer workers',
                    )
                if (yield from _run(deque([item]), work, 1)):
                    yield died(item)
    finally:
        cv2.setNumThreads(threads)


def _run(
    waiting: deque[T], work: Callable[[T], R], workers: int
) -> Generator[R, None, list[T]]:
    """Work until all is done or a process dies; return what was in work."""
    others = set(multiprocessing.active_children())
    # Forked workers start at once; others import the package first.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context(method), _start, (work,)
    )
    flight: dict[Future, T] = {}
    try:
        while waiting or flight:
            while waiting and len(flight) < 2 * workers:
                flight[pool.submit(_work, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(flight, return_when=FIRST_COMPLETED).done:
                result = future.result()
                del flight[future]
                yield result
    except BrokenProcessPool:
        return list(flight.values())
    except BaseException:  # nobody waits for a long video after Ctrl-C
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return []


_the_work: Callable


def _work(item: T) -> R:
    return _the_work(item)


def _start(work: Callable) -> None:
    global _the_work
    _the_work = work
    cv2.setNumThreads(1)
    # Whoever works on a broken file reports it.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    cv2.setLogLevel(0)
    # Ctrl-C reaches all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def track(items: Iterable[T], total: int, show: bool = True) -> Iterator[T]:
    """Show on stderr how many clips are done, and the time left."""
    bar = Progress(
        console=Console(stderr=True),
        auto_refresh=False,  # by a thread, of which a fork makes no copy
        redirect_stdout=sys.stdout.isatty(),  # results above the bar
        disable=not show,
    )
    with bar:
        yield from bar.track(items, total, description='clips')
