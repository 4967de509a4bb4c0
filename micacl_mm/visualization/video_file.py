"""Write a video, whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np


def write_video(frames: Iterable[np.ndarray], path: Path, fps: float) -> Path:
    """Write frames as an mp4.

    As H.264, which every browser plays, where ``imageio-ffmpeg`` is installed
    (extra ``faces``); else as MPEG-4 Part 2 by OpenCV.

    Args:
        frames (Iterable[np.ndarray]): (H, W, 3) RGB uint8, all of one size,
            even in both directions.
        path (Path): File to write.
        fps (float): Frames a second.

    Returns:
        Path: The written file.

    Raises:
        OSError: The video could not be written.
    """
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        write = _write_by_opencv
    else:
        write = _write_by_ffmpeg
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.video') as folder:
        part = os.path.join(folder, 'video.mp4')
        write(iter(frames), part, fps)
        if not os.path.isfile(part) or not os.path.getsize(part):
            raise OSError(f'{path}: the video could not be written')
        os.replace(part, path)
    return path


def _write_by_ffmpeg(frames, part: str, fps: float) -> None:
    from imageio_ffmpeg import write_frames

    first = next(frames)
    height, width = first.shape[:2]
    writer = write_frames(
        part, (width, height), fps=fps, quality=7, macro_block_size=2
    )
    writer.send(None)
    try:
        writer.send(np.ascontiguousarray(first))
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def _write_by_opencv(frames, part: str, fps: float) -> None:
    writer = None
    try:
        for frame in frames:
            if writer is None:
                size = frame.shape[1::-1]
                code = cv2.VideoWriter_fourcc(*'mp4v')
                writer = cv2.VideoWriter(part, code, fps, size)
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        if writer is not None:
            writer.release()
