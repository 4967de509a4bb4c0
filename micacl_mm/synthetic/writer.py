"""Writes a synthetic set to disk, on one or several processes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from micacl_mm.errors import check_count
from micacl_mm.utils.files import publish
from micacl_mm.utils.workers import Progress, run_all

from .action_units import EMOTIONS
from .clip import ClipSpec, clip_layout, render_clip
from .layouts import frame_dir, frame_name, video_path, write_annotation
from .plan import Plan
from .set_folder import NOTICE, claimed
from .settings import SyntheticSettings

_FPS = 25


@dataclass(frozen=True)
class ClipJob:
    """What a worker needs besides the clip."""

    root: Path
    scratch: Path
    settings: SyntheticSettings


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
        ConfigError: For a wrong setting or a folder of anything else.
    """
    asked = SyntheticSettings(**settings)
    check_count('make_synthetic', workers=workers)
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
    """Draw what is missing; returns how many clips that were."""
    line, drawn = Progress(len(clips), show=progress), 0
    for new in run_all(clips, partial(write_clip, job=job), workers):
        drawn += new
        line.step()
    return drawn


def write_clip(clip: ClipSpec, job: ClipJob) -> bool:
    """Draw a clip unless it is there; it appears whole or not at all."""
    ours = job.settings
    folder = job.root / frame_dir(ours.layout, clip)
    video = job.root / video_path(ours.layout, clip)
    if folder.exists() and (not ours.videos or video.exists()):
        return False
    frames = render_clip(
        clip, ours.seed, ours.layout, ours.size, ours.difficulty
    )
    part = job.scratch / f'clip_{clip.clip_id}'
    if not folder.exists():
        _write_frames(part, frames, clip, ours)
        publish(part, folder)
    if ours.videos and not video.exists():
        part = part.with_suffix('.mp4')
        _write_video(part, frames)
        publish(part, video)
    return True


def _write_frames(
    part: Path,
    frames: list[np.ndarray],
    clip: ClipSpec,
    settings: SyntheticSettings,
) -> None:
    part.mkdir()
    _, numbers = clip_layout(clip, settings.seed, settings.layout)
    for number in numbers:
        path = part / frame_name(settings.layout, clip, number)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        if not cv2.imwrite(str(path), frames[number - 1], quality):
            raise OSError(f'make_synthetic: cannot write {path}')


def _write_video(path: Path, frames: list[np.ndarray]) -> None:
    height, width = frames[0].shape[:2]
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), codec, _FPS, (width, height))
    if not writer.isOpened():
        raise OSError(
            f'make_synthetic: OpenCV cannot write {path}: this build has no '
            'mp4 encoder; leave --videos out or install opencv-python'
        )
    for frame in frames:
        writer.write(frame)
    writer.release()
