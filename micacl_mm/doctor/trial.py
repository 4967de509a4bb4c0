"""Try each decoder on a picture and a video made here."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

FRAMES, SIDE, STEP = 8, 64, 24


class Trial(NamedTuple):
    """A decoder and the file that it is to decode."""

    path: str  # what the process pool names a work by
    file: str


class Answer(NamedTuple):
    """What a decoder did; ``reason`` is empty if all is well."""

    path: str
    reason: str = ''


def write_files(folder: Path) -> dict[str, Path]:
    """Write ``picture`` and, where OpenCV can encode one, ``video``.

    Frame ``k`` of the video has the grey level ``STEP * k``.
    """
    picture, video = folder / 'picture.jpg', folder / 'video.mp4'
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (SIDE, 1))[..., None], 3, axis=2)
    cv2.imwrite(str(picture), image)
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(video), codec, 25, (SIDE, SIDE))
    for number in range(FRAMES):
        writer.write(np.full_like(image, STEP * number))
    writer.release()
    made = {'picture': picture, 'video': video}
    return {name: path for name, path in made.items() if _filled(path)}


def _filled(path: Path) -> bool:
    return path.is_file() and os.path.getsize(path) > 0


def try_decoder(trial: Trial) -> Answer:
    """Decode in a process of its own, for a broken library may kill it."""
    try:
        frames = DECODERS[trial.path](trial.file)
        return Answer(trial.path, _wrong(trial, frames))
    except Exception as error:  # of a library that may be broken
        return Answer(trial.path, f'{type(error).__name__}: {error}')


def _wrong(trial: Trial, frames: list[np.ndarray]) -> str:
    levels = [float(np.mean(frame)) for frame in frames]
    wanted = [STEP * number for number in range(FRAMES)]
    if trial.file.endswith('.jpg'):
        wanted = [127.5]
    if len(levels) != len(wanted):
        return f'decodes {len(levels)} frames of {len(wanted)}'
    worst = max(abs(a - b) for a, b in zip(levels, wanted, strict=True))
    # Between full and narrow range of video there are 8 grey levels and more.
    return f'is {worst:.0f} grey levels off' if worst > 20 else ''


def _cv2_picture(file: str) -> list[np.ndarray]:
    return [cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)]


def _cv2_video(file: str) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(file, cv2.CAP_FFMPEG), []
    while True:
        read, image = capture.read()
        if not read:
            return frames
        frames.append(image)


def _decord(file: str) -> list[np.ndarray]:
    import decord

    with open(file, 'rb') as stream:
        reader = decord.VideoReader(io.BytesIO(stream.read()), num_threads=1)
    return list(reader.get_batch(range(len(reader))).asnumpy())


def _av(file: str) -> list[np.ndarray]:
    import av

    with av.open(file) as container:
        return [f.to_ndarray(format='rgb24') for f in container.decode(0)]


DECODERS: dict[str, Callable[[str], list[np.ndarray]]] = {
    'OpenCV JPEG': _cv2_picture,
    'OpenCV video': _cv2_video,
    'decord': _decord,
    'PyAV': _av,
}
