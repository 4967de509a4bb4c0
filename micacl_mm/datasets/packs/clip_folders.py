"""Folders of frames, and what stands in them."""

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from micacl_mm.datasets.folders import list_frames, natural_key
from micacl_mm.datasets.images import decode_image

from .layout import MAX_KEY, ClipIndex, PackedFrame, frame_key, index_key


class ClipFolder(NamedTuple):
    """A folder with frames: its name below the packed folder, and where.

    ``problem`` says why a folder cannot be listed, of which nobody knows
    whether it holds frames, or clips below it.
    """

    name: str
    path: str
    problem: str = ''

    def holds(self, clip: str) -> bool:
        """Whether a clip is this folder or lies below it."""
        return self.name == '.' or f'{clip}/'.startswith(f'{self.name}/')


class ClipBytes(NamedTuple):
    """A clip that was read, and what is wrong with frames of it.

    ``data`` and the list of frames are empty if it cannot be packed.
    """

    clip: ClipFolder
    index: ClipIndex
    data: list[bytes]
    problems: list[tuple[str, str]]


def find_clip_folders(root: str) -> list[ClipFolder]:
    """Folders that hold images, with ``root`` itself, in a fixed order.

    Those that cannot be listed are among them, with the reason.
    """
    return list(_walk(root, '.', (os.path.realpath(root),)))


def _walk(
    folder: str, name: str, above: tuple[str, ...]
) -> Iterator[ClipFolder]:
    try:
        frames = list_frames(folder)
        with os.scandir(folder) as found:
            entries = {e.name: e for e in found if not e.name.startswith('.')}
    except OSError as error:
        yield ClipFolder(name, folder, error.strerror or str(error))
        return
    if frames:
        yield ClipFolder(name, folder)
    for entry in (entries[key] for key in sorted(entries, key=natural_key)):
        real = os.path.realpath(entry.path)
        if _is_folder(entry) and real not in above:  # no link that leads up
            below = entry.name if name == '.' else f'{name}/{entry.name}'
            yield from _walk(entry.path, below, (*above, real))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        # A link to itself is none; what else fails may be one, and listing
        # it says what is wrong.
        return error.errno != errno.ELOOP


def read_clip(clip: ClipFolder) -> ClipBytes:
    """Read all frames of a clip and see that they can be decoded.

    A frame that cannot is a problem to be told, and kept: the pack holds
    what the folder holds.
    """
    newest, frames, data, problems = 0, [], [], []
    for name in list_frames(clip.path):
        if len(frame_key(clip.name, name)) > MAX_KEY:
            raise ValueError(f'name longer than {MAX_KEY} bytes: {name}')
        with open(os.path.join(clip.path, name), 'rb') as file:
            newest = max(newest, os.fstat(file.fileno()).st_mtime_ns)
            data.append(file.read())
        frames.append(PackedFrame.of(name, data[-1]))
        try:
            decode_image(data[-1], name)
        except ValueError as error:
            path = os.path.join(clip.path, name)
            problems.append((path, str(error)))
    if len(index_key(clip.name)) > MAX_KEY:
        raise ValueError(f'name longer than {MAX_KEY} bytes')
    return ClipBytes(clip, ClipIndex(newest, frames), data, problems)


def try_to_read(clip: ClipFolder) -> ClipBytes:
    """As :func:`read_clip`, with the reason in the place of an error."""
    try:
        return read_clip(clip)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        problem = (clip.path, f'not packed: {reason}')
        return ClipBytes(clip, ClipIndex(0, []), [], [problem])


def is_unchanged(clip: ClipFolder, index: ClipIndex) -> bool:
    """Whether names, sizes and the newest time are those of the index."""
    try:
        found = {
            name: os.stat(os.path.join(clip.path, name))
            for name in list_frames(clip.path)
        }
    except OSError:
        return False
    sizes = {name: status.st_size for name, status in found.items()}
    newest = max((it.st_mtime_ns for it in found.values()), default=0)
    packed = {frame.name: frame.size for frame in index.frames}
    return (sizes, newest) == (packed, index.mtime_ns)
