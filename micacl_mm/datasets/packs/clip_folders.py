"""Folders of frames, and what stands in them."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from micacl_mm.datasets.folders import is_dir, list_frames, list_visible
from micacl_mm.datasets.images import decode_image

from .layout import MAX_KEY, PackedFrame, frame_key, index_key


class ClipFolder(NamedTuple):
    """A folder with frames: its name below the packed folder, and where."""

    name: str
    path: str


class ClipBytes(NamedTuple):
    """A clip that was read, and what is wrong with frames of it.

    ``data`` is empty and ``frames`` None if the clip cannot be packed.
    """

    clip: ClipFolder
    frames: list[PackedFrame]
    data: list[bytes]
    problems: list[tuple[str, str]]


def find_clip_folders(root: str) -> list[ClipFolder]:
    """Folders that hold images, with ``root`` itself, in a fixed order."""
    return list(_walk(root, '.', (os.path.realpath(root),)))


def _walk(
    folder: str, name: str, above: tuple[str, ...]
) -> Iterator[ClipFolder]:
    try:
        if list_frames(folder):
            yield ClipFolder(name, folder)
    except OSError:
        yield ClipFolder(name, folder)  # reading it says what is wrong
        return
    for entry in list_visible(folder):
        real = os.path.realpath(entry.path)
        if is_dir(entry) and real not in above:  # no link that leads up
            below = entry.name if name == '.' else f'{name}/{entry.name}'
            yield from _walk(entry.path, below, (*above, real))


def read_clip(clip: ClipFolder) -> ClipBytes:
    """Read all frames of a clip and see that they can be decoded.

    A frame that cannot is a problem to be told, and kept: the pack holds
    what the folder holds.
    """
    frames, data, problems = [], [], []
    for name in list_frames(clip.path):
        if len(frame_key(clip.name, name)) > MAX_KEY:
            raise ValueError(f'name longer than {MAX_KEY} bytes: {name}')
        with open(os.path.join(clip.path, name), 'rb') as file:
            data.append(file.read())
        frames.append(PackedFrame.of(name, data[-1]))
        try:
            decode_image(data[-1], name)
        except ValueError as error:
            path = os.path.join(clip.path, name)
            problems.append((path, str(error)))
    if len(index_key(clip.name)) > MAX_KEY:
        raise ValueError(f'name longer than {MAX_KEY} bytes')
    return ClipBytes(clip, frames, data, problems)


def try_to_read(clip: ClipFolder) -> ClipBytes:
    """As :func:`read_clip`, with the reason in the place of an error."""
    try:
        return read_clip(clip)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        return ClipBytes(clip, [], [], [(clip.path, f'not packed: {reason}')])


def list_sizes(clip: ClipFolder) -> dict[str, int]:
    """Size of each frame by its name; empty if the folder cannot be read."""
    try:
        return {
            name: os.path.getsize(os.path.join(clip.path, name))
            for name in list_frames(clip.path)
        }
    except OSError:
        return {}
