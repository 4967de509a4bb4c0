"""List folders of a set that may be damaged, linked or misspelt."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Optional

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
#: Levels of folders beyond which a tree is a mistake or a trap.
DEEPEST = 100


def natural_key(name: str) -> tuple:
    """Sort key under which ``2.jpg`` comes before ``10.jpg``."""
    parts = re.split(r'(\d+)', name.lower())
    # Odd parts are always the digits, so that keys stay comparable.
    numbered = [int(p) if i % 2 else p for i, p in enumerate(parts)]
    return numbered, name


def list_frames(folder: str) -> list[str]:
    """Names of the visible images of a folder, naturally sorted.

    Links to nothing are left out.

    Raises:
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith('.')
            and entry.name.lower().endswith(IMAGE_SUFFIXES)
            and _is_file(entry)
        ]
    return sorted(names, key=natural_key)


def is_dir(entry: os.DirEntry) -> bool:
    """Whether it is a folder; a link that points at itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def list_visible(folder: str) -> list[os.DirEntry]:
    """Entries not hidden, naturally sorted; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            visible = [e for e in entries if not e.name.startswith('.')]
    except OSError:
        # Such as a lost+found at the top of a mounted disk.
        return []
    return sorted(visible, key=lambda entry: natural_key(entry.name))


def walk(
    root: str, depth: int, is_leaf: Callable[[str], bool]
) -> Iterator[tuple[str, list[os.DirEntry]]]:
    """Folders and their visible entries, level by level.

    Folders whose name is a leaf are listed but not entered: a set has tens
    of thousands of clip folders. Where links within links lead is entered
    once: a few links could make endlessly many ways.

    Args:
        root (str): Where to begin.
        depth (int): Levels below ``root`` that are entered.
        is_leaf (Callable[[str], bool]): Says by its name whether a folder is
            a leaf.

    Yields:
        tuple[str, list[os.DirEntry]]: A folder and its entries.
    """
    level, linked = [(root, False)], set()
    for _ in range(depth + 1):
        below = []
        for folder, in_link in level:
            entries = list_visible(folder)
            yield folder, entries
            for entry in entries:
                if is_leaf(entry.name) or not is_dir(entry):
                    continue
                link = entry.is_symlink()
                if link and in_link:
                    real = os.path.realpath(entry.path)
                    if real in linked:
                        continue
                    linked.add(real)
                below.append((entry.path, in_link or link))
        level = below


def find_folders(root: str, name: str, depth: int = 2) -> Iterator[str]:
    """Folders of that name (any case) below ``root``, shallow ones first."""
    for _, entries in walk(root, depth, str.isdecimal):
        for entry in entries:
            if entry.name.lower() == name.lower() and is_dir(entry):
                yield entry.path


def find_file(folder: str, name: str) -> Optional[str]:
    """The file ``name``, which may hold slashes, in any case."""
    paths = [folder]
    for part in name.split('/'):
        entries = [e for path in paths for e in list_visible(path)]
        named = [e for e in entries if e.name.lower() == part.lower()]
        # The exact spelling first, where a disk holds both.
        named.sort(key=lambda entry: entry.name != part)
        paths = [entry.path for entry in named]
    return next(filter(os.path.isfile, paths), None)


def _is_file(entry: os.DirEntry) -> bool:
    try:
        # Asks the disk for links only.
        return entry.is_file()
    except OSError:
        return False
