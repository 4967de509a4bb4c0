"""Crops the faces of all clips of a folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from .clip_cropper import ClipCropper, Outcome
from .out_folder import FAILURES, check, claimed, write_failures
from .pool import crop_all
from .settings import CropSettings
from .sources import find_clips


def crop_set(
    source: str | Path,
    out: str | Path,
    *,
    workers: int = 1,
    progress: bool = False,
    **settings: object,
) -> dict:
    """Crop the faces of every clip below a folder.

    A second call with the same settings does what is missing, and tries
    again what failed. The bytes do not depend on ``workers``.

    Args:
        source (str | Path): Folder of videos or of folders of frames, in any
            nesting, or one of these.
        out (str | Path): Folder of the crops; new, empty, or to be resumed.
        workers (int): Processes. Defaults to 1.
        progress (bool): Show progress on stderr. Defaults to False.
        **settings: Fields of :class:`CropSettings`.

    Returns:
        dict: ``clips``, ``done`` (now), ``skipped`` (done before), ``faces``,
        ``crops``, ``frames`` and ``seconds`` of this run, and ``failures``,
        path and reason of each.

    Raises:
        ImportError, ValueError: For a wrong setting, a missing detector or a
            folder of anything else.
        OSError: If the crops cannot be written.
    """
    asked = CropSettings(**settings)
    if workers < 1:
        raise ValueError(f'crop_faces: workers must be 1 or more: {workers}')
    source, root = Path(source).expanduser(), Path(out).expanduser()
    if not source.exists():
        raise ValueError(f'crop_faces: {source} does not exist')
    detector = asked.build()
    check(root, asked.record())
    clips, doubled = find_clips(source, root, asked.layout)
    start = time.monotonic()
    outcomes: list[Outcome] = []
    with claimed(root, asked.record()) as scratch:
        cropper = ClipCropper(root, scratch, asked, detector)
        waiting = [c for c in clips if not cropper.targets(c)[0].exists()]
        try:
            with closing(crop_all(waiting, cropper, workers)) as made:
                for outcome in made:
                    outcomes.append(outcome)
                    if progress:
                        _progress(outcomes, len(waiting), start)
        finally:
            failed = [(o.path, o.reason) for o in outcomes if o.reason]
            write_failures(root, doubled + failed)
    return {
        'clips': len(clips) + len(doubled),
        'skipped': len(clips) - len(waiting),
        'failures': doubled + failed,
        'list': str(root / FAILURES),
        'seconds': time.monotonic() - start,
        **_sums(outcomes),
    }


def _sums(outcomes: Iterable[Outcome]) -> dict:
    made = [outcome for outcome in outcomes if not outcome.reason]
    return {
        'done': len(made),
        'faces': sum(outcome.faces for outcome in made),
        'crops': sum(outcome.crops for outcome in made),
        'frames': sum(outcome.frames for outcome in made),
    }


def _progress(outcomes: list[Outcome], total: int, start: float) -> None:
    done = len(outcomes)
    live = sys.stderr.isatty()
    if not live and done % 50 and done < total:
        return
    rate = done / max(time.monotonic() - start, 1e-3)
    left = timedelta(seconds=round((total - done) / rate))
    failed = sum(bool(outcome.reason) for outcome in outcomes)
    text = (
        f'{done}/{total} clips, {failed} failed, {60 * rate:.0f} a minute, '
        f'{left} left'
    )
    end = '\r' if live and done < total else '\n'
    print(f'{text:<70}', end=end, file=sys.stderr, flush=True)
