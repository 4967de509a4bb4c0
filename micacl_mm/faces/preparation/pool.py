"""Many clips on several processes, of which one may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool

import cv2

from .clip_cropper import Outcome
from .sources import SourceClip

Crop = Callable[[SourceClip], Outcome]
DIED = (
    'the process died over it: the file makes the video library crash, or '
    'needs more memory than there is'
)


def crop_all(
    clips: Sequence[SourceClip], crop: Crop, workers: int
) -> Iterator[Outcome]:
    """Crop clips, in the order in which they get ready.

    A clip over which a process dies fails alone.

    Args:
        clips (Sequence[SourceClip]): The clips.
        crop (Callable): Crops one of them; it is sent to the processes.
        workers (int): Processes.

    Yields:
        Outcome: Of each clip.
    """
    waiting = deque(clips)
    while waiting:
        # One of those that were worked on has killed its process, and all
        # the others' with it.
        for clip in (yield from _crop_some(waiting, crop, workers)):
            alone = deque([clip])
            if (yield from _crop_some(alone, crop, 1)):
                yield Outcome(clip.path, DIED)


def _crop_some(
    waiting: deque[SourceClip], crop: Crop, workers: int
) -> Iterator[Outcome]:
    """Crop until all are done or a process dies; return those in work."""
    # OpenCV's threads do not come along into a forked process, which would
    # wait for them for ever; with one there are none.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    others = set(multiprocessing.active_children())
    pool = _start_pool(crop, workers)
    flight: dict[Future, SourceClip] = {}
    try:
        while waiting or flight:
            while waiting and len(flight) < workers:
                flight[pool.submit(_work, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(flight, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                del flight[future]
                yield outcome
    except BrokenProcessPool:
        return list(flight.values())
    except BaseException:  # Ctrl-C: nobody waits for a long video
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
    return []


_crop: Crop


def _work(clip: SourceClip) -> Outcome:
    return _crop(clip)


def _start_pool(crop: Crop, workers: int) -> ProcessPoolExecutor:
    # Forked workers start at once; others import the package first.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, _start_worker, (crop,))


def _start_worker(crop: Crop) -> None:
    global _crop
    _crop = crop
    cv2.setNumThreads(1)  # the workers are the parallelism
    # What is wrong with a file stands in the list of failures.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    cv2.setLogLevel(0)
    # Ctrl-C reaches all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
