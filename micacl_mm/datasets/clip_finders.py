"""Find the clips of a set on disk, however they were unpacked.

Archives of the same set end up doubled (``a/a/clip``), cut into part folders
or below one more folder. Instead of listing every combination, the folders
below the root are walked to a small depth and whatever looks like a clip is
collected.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .folders import is_dir, list_visible, walk

VIDEO_SUFFIXES = ('.mp4', '.avi')


class FoundClip(NamedTuple):
    """A clip on disk: its name in the set, its path, what it lies in."""

    key: str
    path: str
    base: str


def find_numbered_clips(root: str, source: str) -> Iterator[FoundClip]:
    """Clips named by a number alone, as in DFEW.

    Args:
        root (str): Where to search.
        source (str): ``'frames'`` for folders, ``'videos'`` for files.

    Yields:
        FoundClip: With the number in five digits as its key, so that ``1``
        and ``00001`` are the same clip.
    """

    def is_clip(name: str) -> bool:
        # Videos may lie in part folders '00', '01', .. beside thousands of
        # folders of frames, '00001', which are not worth a look.
        return name.isdecimal() and (source == 'frames' or len(name) > 3)

    for folder, entries in walk(root, 5, is_clip):
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
        FoundClip: With ``scene/emotion/clip`` in lower case as its key, the
        clip's number in four digits.
    """
    names = {emotion.lower() for emotion in emotions}

    def is_emotion(name: str) -> bool:
        return name.lower() in names

    for folder, entries in walk(root, 5, is_emotion):
        base, scene = os.path.split(folder)
        for emotion in entries:
            if not (is_emotion(emotion.name) and is_dir(emotion)):
                continue
            for entry in list_visible(emotion.path):
                stem = pad_number(_clip_name(entry, source))
                if stem:
                    key = f'{scene}/{emotion.name}/{stem}'.lower()
                    yield FoundClip(key, entry.path, base)


def pad_number(name: str) -> str:
    """A clip's number in four digits; other names as they are."""
    return f'{int(name):04d}' if name.isdecimal() else name


def _clip_name(entry: os.DirEntry, source: str) -> str:
    """The clip's name, or nothing if the entry is no clip."""
    if source == 'frames':
        return entry.name if is_dir(entry) else ''
    stem, suffix = os.path.splitext(entry.name)
    # A folder may be called like a file, and a link may lead to one.
    is_video = suffix.lower() in VIDEO_SUFFIXES and not is_dir(entry)
    return stem if is_video else ''
