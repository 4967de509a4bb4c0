"""Writes one clip: its folder of frames and its video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .clip import ClipSpec, clip_layout, render_clip
from .layouts import frame_dir, frame_name, video_path
from .set_folder import publish
from .settings import SyntheticSettings

_FPS = 25


@dataclass(frozen=True)
class ClipJob:
    """What a worker needs besides the clip.

    Args:
        root (Path): Root of the set.
        scratch (Path): Folder of this run alone, on the same disk.
        settings (SyntheticSettings): Settings of the set.
    """

    root: Path
    scratch: Path
    settings: SyntheticSettings


def write_clip(clip: ClipSpec, job: ClipJob) -> bool:
    """Draw a clip unless it is there; it appears whole or not at all.

    Args:
        clip (ClipSpec): The clip.
        job (ClipJob): Folders and settings.

    Returns:
        bool: Whether anything was drawn.
    """
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
