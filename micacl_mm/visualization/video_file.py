"""Write a video, whole or not at all."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

#: Opens a file for frames of a size (width, height) and a rate; what it
#: yields takes them.
_Writer = Callable[
    [str, tuple[int, int], float],
    AbstractContextManager[Callable[[np.ndarray], None]],
]


def write_video(frames: Iterable[np.ndarray], path: Path, fps: float) -> Path:
    """Write frames as an mp4.

    As H.264, which every browser plays, where ``imageio-ffmpeg`` is installed
    (extra ``faces``); else as MPEG-4 Part 2 by OpenCV. The file is opened
    again and its frames are counted before it takes the place of an older
    one.

    Args:
        frames (Iterable[np.ndarray]): (H, W, 3) RGB uint8, all of one size,
            even in both directions.
        path (Path): File to write.
        fps (float): Frames a second.

    Returns:
        Path: The written file.

    Raises:
        OSError: The video could not be written; an older file stays.
        ValueError: There is no frame.
    """
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        writer = _opencv
    else:
        writer = _ffmpeg
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.video') as folder:
        part = os.path.join(folder, 'video.mp4')
        try:
            sent = _write(frames, part, fps, writer)
        except _WriteError as error:
            raise OSError(_cure(path, str(error))) from error
        whole = _frames_in(part)
        if whole != sent:
            raise OSError(
                _cure(path, f'{whole} of {sent} frames can be read again')
            )
        os.replace(part, path)
    return path


class _WriteError(OSError):
    """The writer takes no frame; errors of reading them are others."""


def _cure(path: Path, reason: str) -> str:
    return (
        f'{path}: the video could not be written ({reason}); is the disk full?'
    )


def _write(
    frames: Iterable[np.ndarray], part: str, fps: float, writer: _Writer
) -> int:
    """Write all frames; their number."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError('a video needs at least one frame, got none')
    sent = 0
    with writer(part, first.shape[1::-1], fps) as send:
        for frame in chain([first], frames):
            send(frame)
            sent += 1
    return sent


@contextmanager
def _ffmpeg(
    part: str, size: tuple[int, int], fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    from imageio_ffmpeg import write_frames

    def send(frame: np.ndarray) -> None:
        try:
            writer.send(np.ascontiguousarray(frame))
        except OSError as error:  # its text is the whole command
            raise _WriteError('ffmpeg has stopped') from error

    writer = write_frames(part, size, fps=fps, quality=7, macro_block_size=2)
    writer.send(None)
    with closing(writer):
        yield send


@contextmanager
def _opencv(
    part: str, size: tuple[int, int], fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    code = cv2.VideoWriter_fourcc(*'mp4v')
    # MPEG-4 takes no finer fractions of a second.
    writer = cv2.VideoWriter(part, code, round(fps, 2), size)
    if not writer.isOpened():
        raise _WriteError('OpenCV cannot open the file')
    try:
        yield lambda frame: writer.write(
            cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        )
    finally:
        writer.release()


def _frames_in(part: str) -> int:
    """How many frames a file has; 0 where its last one cannot be read."""
    if not os.path.isfile(part):
        return 0
    video = cv2.VideoCapture(part)
    try:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return count if video.read()[0] else 0
    finally:
        video.release()
