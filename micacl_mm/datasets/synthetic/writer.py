"""Writes a synthetic set to disk, on one or several processes."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2

from .action_units import EMOTIONS
from .clip import ClipSpec
from .clip_writer import SCRATCH, ClipJob, write_clip
from .difficulty import Difficulty, get_difficulty
from .layouts import LAYOUTS, write_annotation
from .plan import NUM_GROUPS, Plan, plan_dfew, plan_ferv39k

MARKER = 'synthetic.json'
NOTICE = (
    'Drawn faces, made by tools/data/make_synthetic.py. No clip of a real '
    'set is in here, and no figure measured on it is a result on real data.'
)
_VERSION = 1  # raised when equal arguments no longer give equal bytes


def _run(clips: tuple[ClipSpec, ...], job: ClipJob, workers: int) -> Iterator:
    """Draw clips in order; a forked worker must not inherit busy threads."""
    write = partial(write_clip, job=job)
    if workers == 1:
        yield from map(write, clips)
        return
    # Forked workers start at once; others import the package first.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(
        workers, context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(write, clips, chunksize=4)


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


def _check(
    num_clips: int,
    layout: str,
    size: int,
    folds: tuple[int, ...],
    test_per_class: int,
    workers: int,
) -> None:
    def need(condition: bool, what: str, got: object) -> None:
        if not condition:
            raise ValueError(f'make_synthetic: {what}, got {got!r}')

    need(layout in LAYOUTS, f'layout must be one of {LAYOUTS}', layout)
    per_class = NUM_GROUPS if layout == 'dfew' else 2
    least = len(EMOTIONS) * per_class
    need(
        num_clips >= least,
        f'num_clips must be at least {least}, so that each class stands in '
        f'train and test of layout {layout}',
        num_clips,
    )
    need(32 <= size <= 512, 'size must be 32 to 512', size)
    need(size % 2 == 0, 'size must be even, for the video encoder', size)
    known = folds and set(folds) <= set(range(1, NUM_GROUPS + 1))
    need(known, f'folds must be some of 1 to {NUM_GROUPS}', folds)
    need(
        test_per_class >= 0, 'test_per_class must be 0 or more', test_per_class
    )
    need(workers >= 1, 'workers must be 1 or more', workers)


def _claim(root: Path, settings: dict) -> None:
    """Take the folder, or find that it holds this very set."""
    marker = root / MARKER
    if marker.exists():
        found = json.loads(marker.read_text())['settings']
        other = [k for k in settings if found.get(k) != settings[k]]
        if other:
            raise ValueError(
                f'make_synthetic: {root} holds a set made with another '
                f'{", ".join(other)}; choose an empty folder, or delete it'
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(
            f'make_synthetic: {root} is there and is no synthetic set; '
            'choose an empty or new folder'
        )
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    (root / SCRATCH).mkdir(parents=True)
    text = json.dumps({'notice': NOTICE, 'settings': settings}, indent=2)
    marker.write_text(text + '\n')


def make_synthetic(
    out: str | Path,
    layout: str = 'dfew',
    num_clips: int = 1000,
    seed: int = 0,
    size: int = 64,
    folds: tuple[int, ...] = (1, 2, 3, 4, 5),
    test_per_class: int = 0,
    videos: bool = False,
    workers: int = 1,
    difficulty: str | float | Difficulty = 'medium',
    progress: bool = False,
) -> dict:
    """Write a drawn set as a licensee of DFEW or FERV39k finds the real one.

    A second call with the same arguments draws only what is missing.

    Args:
        out (str | Path): Root of the set; new, empty, or to be resumed.
        layout (str): ``'dfew'`` or ``'ferv39k'``. Defaults to ``'dfew'``.
        num_clips (int): Clips with a label, in the real set's proportions
            with at least one clip of each class in each group of persons.
            Defaults to 1000.
        seed (int): Equal seeds give equal bytes. Defaults to 0.
        size (int): Width and height of a frame. Defaults to 64.
        folds (tuple[int, ...]): DFEW's folds that get split files.
            Defaults to all five.
        test_per_class (int): Top each test split up to so many clips of
            each class, by clips that no training split holds. Defaults to 0.
        videos (bool): Write mp4 clips beside the frames. Defaults to False.
        workers (int): Processes. Defaults to 1.
        difficulty (str | float | Difficulty): See :func:`get_difficulty`.
            Defaults to ``'medium'``.
        progress (bool): Show progress on stderr. Defaults to False.

    Returns:
        dict: ``root``, ``layout``, ``clips``, ``drawn``, ``seconds``,
        ``notice``, and ``splits``: class counts by split.
    """
    folds = tuple(sorted(set(folds)))
    _check(num_clips, layout, size, folds, test_per_class, workers)
    knobs = get_difficulty(difficulty)
    settings = {
        'version': _VERSION,
        'layout': layout,
        'num_clips': num_clips,
        'seed': seed,
        'size': size,
        'folds': list(folds) if layout == 'dfew' else None,
        'test_per_class': test_per_class,
        'difficulty': asdict(knobs),
    }
    if layout == 'dfew':
        plan = plan_dfew(num_clips, seed, folds, test_per_class)
    else:
        plan = plan_ferv39k(num_clips, seed, test_per_class)
    root = Path(out).expanduser()
    _claim(root, settings)
    job = ClipJob(str(root), layout, seed, size, videos, knobs)
    return _write(root, plan, job, workers, progress)


def _write(
    root: Path, plan: Plan, job: ClipJob, workers: int, progress: bool
) -> dict:
    start = time.monotonic()
    drawn = 0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the workers are the parallelism
    try:
        for done, new in enumerate(_run(plan.clips, job, workers), start=1):
            drawn += new
            if progress:
                _progress(done, len(plan.clips), drawn, start)
    finally:
        cv2.setNumThreads(threads)
    write_annotation(root, job.layout, plan, job.seed)
    shutil.rmtree(root / SCRATCH)
    splits = {}
    for name, clips in plan.splits.items():
        counts = Counter(clip.emotions[0] for clip in clips)
        splits[name] = {emotion: counts[emotion] for emotion in EMOTIONS}
    return {
        'root': str(root),
        'layout': job.layout,
        'clips': len(plan.clips),
        'drawn': drawn,
        'seconds': time.monotonic() - start,
        'splits': splits,
        'notice': NOTICE,
    }
