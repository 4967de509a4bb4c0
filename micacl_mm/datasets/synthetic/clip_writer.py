"""Writes one clip: its folder of frames and its video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .clip import ClipSpec, clip_layout, render_clip
from .difficulty import Difficulty
from .layouts import frame_dir, frame_name, video_path

SCRATCH = '.unfinished'
_FPS = 25


@dataclass(frozen=True)
class ClipJob:
    """What a worker needs besides the clip.

    Args:
        root (str): Root of the set.
        layout (str): ``'dfew'`` or ``'ferv39k'``.
        seed (int): Seed of the set.
        size (int): Width and height of a frame.
        videos (bool): Whether to write mp4 clips beside the frames.
        knobs (Difficulty): The difficulty.
    """

    root: str
    layout: str
    seed: int
    size: int
    videos: bool
    knobs: Difficulty


def write_clip(clip: ClipSpec, job: ClipJob) -> bool:
    """Draw a clip unless it is there; it appears whole or not at all.

    Args:
        clip (ClipSpec): The clip.
        job (ClipJob): Settings of the set.

    Returns:
        bool: Whether anything was drawn.
    """
    root = Path(job.root)
    folder = root / frame_dir(job.layout, clip)
    video = root / video_path(job.layout, clip)
    if folder.exists() and (not job.videos or video.exists()):
        return False
    frames = render_clip(clip, job.seed, job.layout, job.size, job.knobs)
    scratch = root / SCRATCH / str(clip.clip_id)
    if not folder.exists():
        scratch.mkdir()
        _, numbers = clip_layout(clip, job.seed, job.layout)
        for number in numbers:
            path = scratch / frame_name(job.layout, clip, number)
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
            if not cv2.imwrite(str(path), frames[number - 1], quality):
                raise OSError(f'make_synthetic: cannot write {path}')
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch, folder)
    if job.videos and not video.exists():
        part = scratch.with_suffix('.mp4')
        _write_video(part, frames)
        video.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, video)
    return True


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
