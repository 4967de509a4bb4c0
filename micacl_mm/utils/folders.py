"""Folders of clips: one walker for all that looks for clips on disk."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Optional

from micacl_mm.errors import DataError

IMAGE_SUFFIXES = (
    *('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp'),
    *('.tif', '.tiff'),
)
VIDEO_SUFFIXES = (
    *('.mp4', '.m4v', '.avi', '.mov', '.mkv', '.webm', '.flv', '.f4v'),
    *('.mpg', '.mpeg', '.wmv', '.asf', '.ts', '.mts', '.m2ts', '.3gp'),
    *('.3g2', '.ogv', '.vob', '.divx'),
)
#: Levels of folders beyond which a tree is a mistake or a trap.
DEEPEST = 100
#: What archives, servers and file systems leave beside the data.
_STRAY = {
    '__MACOSX',
    '@eaDir',
    '$RECYCLE.BIN',
    'System Volume Information',
    'lost+found',
}


class Folder(NamedTuple):
    """A folder that :func:`walk` has listed."""

    path: str
    depth: int
    folders: list[os.DirEntry]  # naturally sorted; the caller may change it
    files: list[os.DirEntry]
    error: Optional[OSError] = None  # why it could not be listed


class FoundClip(NamedTuple):
    """A video, or a folder of frames."""

    path: str
    is_video: bool


def walk(root: str, depth: Optional[int] = None) -> Iterator[Folder]:
    """List folders from the top down, as ``os.walk`` does.

    Hidden entries and what archives and servers leave are left out. Links
    are followed, but never up, and a folder that links within links lead to
    is entered once: a few links could make endlessly many ways. So many
    levels are entered as ``depth`` says, :data:`DEEPEST` at most.
    """
    linked: set[str] = set()

    def below(
        path: str, chain: tuple[str, ...], in_link: bool
    ) -> Iterator[Folder]:
        folder = list_folder(path, len(chain) - 1)
        yield folder
        if folder.depth == depth:
            return
        if folder.depth >= DEEPEST and folder.folders:
            raise DataError(
                f'folders must not be deeper than {DEEPEST} levels, got '
                f'{path}',
                'remove it, or name a folder further down',
            )
        for entry in folder.folders:
            real, link = os.path.join(chain[-1], entry.name), False
            if entry.is_symlink():
                real, link = os.path.realpath(entry.path), True
            if leads_up(real, chain) or (link and in_link and real in linked):
                continue
            if link and in_link:
                linked.add(real)
            yield from below(entry.path, (*chain, real), in_link or link)

    yield from below(root, (os.path.realpath(root),), False)


def find_clips(
    root: str, skip: Callable[[str], bool] = lambda path: False
) -> list[FoundClip]:
    """List videos and folders of frames in any nesting, naturally sorted.

    Images beside videos, or beside folders with clips, are thumbnails. A
    folder whose path makes ``skip`` true is left out.
    """
    found: list[tuple[Folder, list[FoundClip]]] = []
    for folder in walk(root.rstrip(os.sep) or root):
        folder.folders[:] = [e for e in folder.folders if not skip(e.path)]
        videos = [e.path for e in folder.files if is_video(e.name)]
        videos = sorted(videos, key=natural_key)
        found.append((folder, [FoundClip(path, True) for path in videos]))
    # From below, where it is known whether folders hold clips.
    parents: set[str] = set()
    for folder, clips in reversed(found):
        has_below = folder.path in parents
        images = any(is_image(entry.name) for entry in folder.files)
        if images and not (clips or has_below):
            clips.append(FoundClip(folder.path, False))
        if clips or has_below:
            parents.add(os.path.dirname(folder.path))
    return [clip for _, clips in found for clip in clips]


def list_folder(path: str, depth: int = 0) -> Folder:
    """List one folder as :func:`walk` does."""
    folders, files = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name[0] != '.' and entry.name not in _STRAY:
                    own = folders if _ask(entry.is_dir) else files
                    own.append(entry)
    except OSError as error:
        # Such as a lost+found at the top of a mounted disk.
        return Folder(path, depth, [], [], error)
    folders.sort(key=lambda entry: natural_key(entry.name))
    return Folder(path, depth, folders, files)


def list_frames(folder: str) -> list[str]:
    """Names of the visible images of a folder, naturally sorted."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name[0] != '.'
            and is_image(entry.name)
            and _ask(entry.is_file)  # no link to nothing
        ]
    return sorted(names, key=natural_key)


def natural_key(name: str) -> tuple:
    """Sort key under which ``2.jpg`` comes before ``10.jpg``."""
    parts = re.split(r'(\d+)', name.lower())
    # Odd parts are always the digits, so that keys stay comparable.
    numbered = [int(p) if i % 2 else p for i, p in enumerate(parts)]
    return numbered, name


def is_image(name: str) -> bool:
    """Whether a file is an image, by its suffix."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_video(name: str) -> bool:
    """Whether a file is a video, by its suffix."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def leads_up(real: str, chain: Iterable[str]) -> bool:
    """Whether a folder is, or holds, one of the chain that led to it."""
    inside = os.path.join(real, '')
    return any(path == real or path.startswith(inside) for path in chain)


def _ask(question: Callable[[], bool]) -> bool:
    try:
        return question()  # asks the disk for links only
    except OSError:  # a link to itself
        return False
