"""Writes a synthetic set to disk, on one or several processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from .action_units import EMOTIONS
from .clip import ClipSpec
from .clip_writer import ClipJob, write_clip
from .layouts import write_annotation
from .plan import Plan
from .set_folder import NOTICE, claimed
from .settings import SyntheticSettings


def make_synthetic(
    out: str | Path,
    *,
    workers: int = 1,
    progress: bool = False,
    **settings: object,
) -> dict:
    """Write a drawn set as a licensee of DFEW or FERV39k finds the real one.

    A second call with the same arguments draws only what is missing. Equal
    settings give equal bytes on one machine with one set of versions.

    Args:
        out (str | Path): Root of the set; new, empty, or to be resumed.
        workers (int): Processes. Defaults to 1.
        progress (bool): Show progress on stderr. Defaults to False.
        **settings: Fields of :class:`SyntheticSettings`.

    Returns:
        dict: ``root``, ``layout``, ``clips``, ``drawn``, ``seconds``,
        ``notice``, and ``splits``: class counts by split.

    Raises:
        ValueError: For a wrong setting or a folder of anything else.
    """
    asked = SyntheticSettings(**settings)
    if workers < 1:
        raise ValueError(
            f'make_synthetic: workers must be 1 or more, got {workers!r}'
        )
    root = Path(out).expanduser()
    plan = asked.plan()
    start = time.monotonic()
    with claimed(root, asked.record()) as scratch:
        job = ClipJob(root, scratch, asked)
        drawn = _draw(plan.clips, job, workers, progress)
        write_annotation(root, scratch, asked.layout, plan, asked.seed)
    return {
        'root': str(root),
        'layout': asked.layout,
        'drawn': drawn,
        'seconds': time.monotonic() - start,
        **_summary(plan),
    }


def _summary(plan: Plan) -> dict:
    splits = {}
    for name, clips in plan.splits.items():
        counts = Counter(clip.emotions[0] for clip in clips)
        splits[name] = {emotion: counts[emotion] for emotion in EMOTIONS}
    return {'clips': len(plan.clips), 'splits': splits, 'notice': NOTICE}


def _draw(
    clips: tuple[ClipSpec, ...], job: ClipJob, workers: int, progress: bool
) -> int:
    start = time.monotonic()
    drawn = 0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the workers are the parallelism
    try:
        for done, new in enumerate(_run(clips, job, workers), start=1):
            drawn += new
            if progress:
                _progress(done, len(clips), drawn, start)
    finally:
        cv2.setNumThreads(threads)
    return drawn


def _run(
    clips: tuple[ClipSpec, ...], job: ClipJob, workers: int
) -> Iterator[bool]:
    """Draw clips in order."""
    write = partial(write_clip, job=job)
    if workers == 1:
        yield from map(write, clips)
        return
    # Forked workers start at once; others import the package first.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        yield from pool.map(write, clips, chunksize=4)


def _start_worker() -> None:
    """A forked worker must not inherit busy threads."""
    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _progress(done: int, total: int, drawn: int, start: float) -> None:
    live = sys.stderr.isatty()
    if done % (20 if live else 200) and done < total:
        return
    spent = time.monotonic() - start
    rate = drawn / spent if drawn else 0.0
    left = (total - done) / rate if rate else 0.0
    end = '\r' if live and done < total else '\n'
    text = f'{done}/{total} clips, {60 * rate:.0f} a minute, {left:.0f} s left'
    print(f'{text:<60}', end=end, file=sys.stderr, flush=True)
