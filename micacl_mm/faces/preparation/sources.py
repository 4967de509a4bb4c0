"""The clips of a folder, and their frames one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np

from micacl_mm.datasets.layouts import pad_number
from micacl_mm.utils import folders
from micacl_mm.utils.folders import VIDEO_SUFFIXES, list_frames

from .containers import is_cut_off

LAYOUTS = ('tree', 'dfew', 'ferv39k')
#: So many fewer frames than announced are no matter.
_TOLERANCE = 2


class UnreadableClipError(ValueError):
    """A clip whose frames cannot be read; the message says why."""


class SourceClip(NamedTuple):
    """A video or a folder of frames, and where its crops belong."""

    path: str
    target: str
    is_video: bool


def find_clips(
    source: Path, out: Path, layout: str = 'tree'
) -> tuple[list[SourceClip], list[tuple[str, str]]]:
    """List the clips of a folder in any nesting.

    A folder with images is a clip. Beside videos, or folders with clips,
    images are taken for thumbnails. Hidden files and what archives and
    servers leave (``@eaDir``) are left out, links are followed.

    Args:
        source (Path): The folder, or one video.
        out (Path): Folder of the crops, which is not looked into.
        layout (str): ``'tree'`` keeps the path below ``source`` without the
            suffix, ``'dfew'`` gives ``NNNNN``, ``'ferv39k'``
            ``Scene/Emotion/NNNN``. Defaults to ``'tree'``.

    Returns:
        tuple[list[SourceClip], list[tuple[str, str]]]: The clips, and path
        and reason of each that would go to the place of another.

    Raises:
        ValueError: If there is no clip, or folders are nested too deep.
    """
    found = [(source, True)]
    if not source.is_file():
        away = os.path.realpath(out)
        below = folders.find_clips(
            str(source), lambda path: os.path.realpath(path) == away
        )
        found = [(Path(clip.path), clip.is_video) for clip in below]
    if not found:
        raise ValueError(
            f'crop_faces: no clip in {source}; name a folder with videos '
            f'({", ".join(VIDEO_SUFFIXES)}), with folders of frames, or one '
            'of these'
        )
    clips: dict[str, SourceClip] = {}
    for path, is_video in found:
        clip = SourceClip(
            str(path), _target(path, source, is_video, layout), is_video
        )
        clips.setdefault(clip.target, clip)
    taken = {clip.path for clip in clips.values()}
    doubled = [
        (str(path), 'another clip has the same name; rename one of them')
        for path, _ in found
        if str(path) not in taken
    ]
    # A video beside a folder of its name, with clips in it.
    for clip in list(clips.values()):
        above = [str(folder) for folder in PurePosixPath(clip.target).parents]
        over = next((clips[name] for name in above if name in clips), None)
        if over is not None:
            doubled.append(
                (clip.path, f'would lie in the crops of {over.path}; rename')
            )
            del clips[clip.target]
    return list(clips.values()), doubled


def _target(path: Path, source: Path, is_video: bool, layout: str) -> str:
    below = path.relative_to(source)
    if path == source:
        below = Path(path.resolve().name)  # of '.' too
    parts = list((below.with_suffix('') if is_video else below).parts)
    if layout == 'dfew' and parts[-1].isdecimal():
        return f'{int(parts[-1]):05d}'
    if layout == 'ferv39k':
        parts = [*parts[-3:-1], pad_number(parts[-1])]
    return '/'.join(parts)


def read_frames(clip: SourceClip) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture of each frame, (H, W, 3), uint8, RGB.

    Videos are numbered from 1, and turned as their file says: phones write
    upright videos lying. Images have the last number in their names, or
    places from 1 if any has none or two have one.

    Args:
        clip (SourceClip): The clip.

    Yields:
        tuple[int, np.ndarray]: In temporal order.

    Raises:
        UnreadableClipError: If there is no frame, one is damaged, or the
            file is cut off.
    """
    try:
        reader = _read_video if clip.is_video else _read_folder
        for number, image in reader(clip.path):
            yield number, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableClipError(f'cannot be read: {reason}') from None


def _read_video(path: str) -> Iterator[tuple[int, np.ndarray]]:
    with open(path, 'rb') as file:
        if not file.read(1):
            raise UnreadableClipError('the file is empty')
    # Any other backend takes a name with '%' for that of many images.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # not by itself, in 4.11
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))  # 0: unknown
    number = 0
    try:
        while capture.isOpened():
            read, image = capture.read()
            if not read:
                break
            number += 1
            yield number, image
    finally:
        capture.release()
    if not number:
        raise UnreadableClipError(
            'no picture can be read from it: it is damaged, cut off, no '
            'video at all, or holds sound alone'
        )
    # The announced number alone proves nothing: it counts what a trimmed
    # file hides, and is a guess where frames or sound are of uneven length.
    if number < announced - _TOLERANCE and is_cut_off(path):
        raise UnreadableClipError(
            f'the file is cut off: {number} of the {announced} frames that '
            'it announces can be read; get a whole copy'
        )


def _read_folder(path: str) -> Iterator[tuple[int, np.ndarray]]:
    names = list_frames(path)
    for number, name in zip(frame_numbers(names), names, strict=True):
        data = np.fromfile(os.path.join(path, name), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            raise UnreadableClipError(
                f'{name} is empty' if not data.size else f'{name} is damaged'
            )
        yield number, image


def frame_numbers(names: list[str]) -> list[int]:
    """Numbers of frames by their names, which are in natural order."""
    runs = [
        ''.join(c if c.isascii() and c.isdigit() else ' ' for c in stem)
        for stem in (os.path.splitext(name)[0] for name in names)
    ]
    last = [int(run.split()[-1]) if run.split() else -1 for run in runs]
    ascending = all(a < b for a, b in zip([-1, *last], last, strict=False))
    # Digits of a checksum or a date are no number of a frame.
    if ascending and all(number < 10**9 for number in last):
        return last
    return list(range(1, len(names) + 1))
