"""Find the clips of a set on disk, however they were unpacked.

Archives of the same set end up doubled (``a/a/clip``), cut into part folders
or below one more folder. Instead of listing every combination, the folders
below the root are walked to a small depth, whatever looks like a clip is
collected, and the copies found are put in order of preference.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import (
    NamedTuple,
    Optional,
)

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
VIDEO_SUFFIXES = ('.mp4', '.avi')


class FoundClip(NamedTuple):
    """A clip on disk: its name in the set, its path, what it lies in."""

    key: str
    path: str
    base: str


@dataclass(frozen=True)
class Layout:
    """The chosen copy of the clips.

    Args:
        clips (dict): Path of each clip by its key.
        text (str): Where the clips lie, in words, for the log.
    """

    clips: dict[str, str]
    text: str


def natural_key(name: str) -> tuple:
    """Sort key under which ``2.jpg`` comes before ``10.jpg``."""
    parts = re.split(r'(\d+)', name.lower())
    # Odd parts are always the digits, so that keys stay comparable.
    numbered = [int(p) if i % 2 else p for i, p in enumerate(parts)]
    return numbered, name


def list_frames(folder: str) -> list[str]:
    """Names of the visible images of a folder, naturally sorted."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith('.')
            and entry.name.lower().endswith(IMAGE_SUFFIXES)
        ]
    return sorted(names, key=natural_key)


def find_folder(root: str, name: str, depth: int = 2) -> Optional[str]:
    """The shallowest folder of that name (any case) below ``root``."""
    for _, entries in _walk(root, depth, str.isdecimal):
        for entry in entries:
            if entry.name.lower() == name.lower() and entry.is_dir():
                return entry.path
    return None


def find_numbered_clips(root: str, source: str) -> Iterator[FoundClip]:
    """Clips named by a number alone, as in DFEW.

    Args:
        root (str): Where to search.
        source (str): ``'frames'`` for folders, ``'videos'`` for files.

    Yields:
        FoundClip: With the number in five digits as its key, so that ``1``
        and ``00001`` are the same clip.
    """
    for folder, entries in _walk(root, 5, str.isdecimal):
        for entry in entries:
            stem = _clip_name(entry, source)
            if stem.isdecimal():
                yield FoundClip(f'{int(stem):05d}', entry.path, folder)


def find_emotion_clips(
    root: str, source: str, emotions: Sequence[str]
) -> Iterator[FoundClip]:
    """Clips in ``<Scene>/<Emotion>/<clip>``, as in FERV39k.

    The scenes are recognised by the emotion folders below them.

    Args:
        root (str): Where to search.
        source (str): ``'frames'`` for folders, ``'videos'`` for files.
        emotions (Sequence[str]): Names of the emotion folders, any case.

    Yields:
        FoundClip: With ``scene/emotion/clip`` in lower case as its key.
    """
    names = {emotion.lower() for emotion in emotions}

    def is_emotion(name: str) -> bool:
        return name.lower() in names

    for folder, entries in _walk(root, 5, is_emotion):
        base, scene = os.path.split(folder)
        for emotion in entries:
            if not (is_emotion(emotion.name) and emotion.is_dir()):
                continue
            for entry in _visible(emotion.path):
                stem = _clip_name(entry, source)
                if stem:
                    key = f'{scene}/{emotion.name}/{stem}'.lower()
                    yield FoundClip(key, entry.path, base)


def choose_layout(
    found: Iterable[FoundClip],
    root: str,
    preferred: Sequence[tuple[str, str]],
) -> Optional[Layout]:
    """Choose one copy of the clips where several lie side by side.

    Part folders and doubled folders of one copy are joined. Of several
    copies the first by ``preferred`` wins, then the one with most clips.

    Args:
        found (Iterable[FoundClip]): The clips, the shallowest first.
        root (str): Where the search began.
        preferred (Sequence[tuple[str, str]]): Pairs of a copy's description
            and a pattern of its folder. The last must match anything.

    Returns:
        Layout | None: None if nothing was found.
    """
    copies: dict[str, dict[str, str]] = {}
    bases: dict[str, dict[str, None]] = {}  # a set that keeps its order
    for key, path, base in found:
        relative = os.path.relpath(base, root).replace(os.sep, '/')
        copy = _without_parts(relative)
        # The walk comes from above: of a clip that is there twice the
        # shallower one is kept.
        copies.setdefault(copy, {}).setdefault(key, path)
        bases.setdefault(copy, {})[relative] = None

    def rank(copy: str) -> int:
        matches = (re.search(p, copy, re.IGNORECASE) for _, p in preferred)
        return [bool(match) for match in matches].index(True)

    order = sorted(copies, key=lambda c: (rank(c), -len(copies[c]), c))
    if not order:
        return None
    texts = [
        f'{_shorten(list(bases[copy]))} ({preferred[rank(copy)][0]}, '
        f'{len(copies[copy])} clips)'
        for copy in order
    ]
    others = f'; left aside: {"; ".join(texts[1:])}' if texts[1:] else ''
    return Layout(copies[order[0]], f'{texts[0]} below {root}{others}')


def _walk(
    root: str, depth: int, is_leaf: Callable[[str], bool]
) -> Iterator[tuple[str, list[os.DirEntry]]]:
    """Folders and their visible entries, level by level.

    Folders whose name is a leaf are listed but not entered: a set has tens
    of thousands of clip folders.
    """
    level = [root]
    for _ in range(depth + 1):
        below = []
        for folder in level:
            entries = _visible(folder)
            yield folder, entries
            below += [
                entry.path
                for entry in entries
                if not is_leaf(entry.name) and entry.is_dir()
            ]
        level = below


def _visible(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            visible = [e for e in entries if not e.name.startswith('.')]
    except (FileNotFoundError, PermissionError):
        # Such as a lost+found at the top of a mounted disk.
        return []
    return sorted(visible, key=lambda entry: natural_key(entry.name))


def _clip_name(entry: os.DirEntry, source: str) -> str:
    """The clip's name, or nothing if the entry is no clip."""
    if source == 'frames':
        return entry.name if entry.is_dir() else ''
    stem, suffix = os.path.splitext(entry.name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else ''


def _without_parts(path: str) -> str:
    """The folder that ``path`` would be, had it not been cut or doubled.

    Example:
        >>> _without_parts('Clip/clip_224x224/clip_224x224_part_3')
        'Clip/clip_224x224'
    """
    parts: list[str] = []
    for part in path.split('/'):
        part = re.sub(r'[_-]?part[_-]?\d+$', '', part, flags=re.IGNORECASE)
        # The numbered archives of one folder that a cloud drive hands out.
        part = re.sub(r'(-\d{8}T\d{6}Z)?-\d{3}$', '', part)
        if part and parts[-1:] != [part]:
            parts.append(part)
    return '/'.join(parts) or '.'


def _shorten(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return ' and '.join(names)
    return f'{names[0]} and {len(names) - 1} more folders'
