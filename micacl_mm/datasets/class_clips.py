"""The clips in the folders of classes: videos, or folders of frames."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Union

from .class_folders import (
    ClassFolder,
    fail,
    is_stray,
    leads_up,
    list_class_folders,
    normalise,
    order_classes,
    parse_classes,
)
from .folders import DEEPEST, IMAGE_SUFFIXES, is_dir, natural_key

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.avi', '.mov', '.mkv', '.webm')


class ClassClip(NamedTuple):
    """A clip: its name below the root without suffix, and where it is.

    ``kind`` is ``'videos'``, ``'frames'``, or ``'hollow'`` for a folder that
    holds nothing and would be a clip if it held frames.
    """

    name: str
    path: str
    kind: str
    folder: ClassFolder


def find_classes(
    data_root: str,
    classes: Union[str, Sequence[str], None] = None,
    source: str = 'auto',
) -> tuple[list[str], str]:
    """Tell the classes of a folder and what its clips are.

    Configs call it, so that nobody has to type the number of classes.

    Args:
        data_root (str): Folder of class folders.
        classes (str | Sequence[str], optional): Their order, as a list or
            with commas. Defaults to None or ``'auto'``, sorted naturally.
        source (str): ``'videos'``, ``'frames'``, or ``'auto'`` for whichever
            is there. Defaults to ``'auto'``.

    Returns:
        tuple[list[str], str]: The classes and the source. Where there is no
        such folder, which is for the data set to say, ``classes`` as given
        or none.

    Raises:
        ValueError: The folder cannot be a set of two classes or more, or
            differs from what was given.
    """
    wanted = parse_classes(classes)
    root = os.path.expanduser(data_root)
    if not os.path.isdir(root):
        return wanted or [], 'videos' if source == 'auto' else source
    folders = list_class_folders(root)
    found = order_classes(folders, wanted, root)
    if source == 'auto':
        source = choose_source(find_class_clips(folders))
    return found, source


def find_class_clips(folders: Sequence[ClassFolder]) -> list[ClassClip]:
    """List all clips, those of each class naturally sorted.

    A folder that holds images is one clip. Other folders, of persons for
    instance, are looked into. Links are followed, but not up.

    Args:
        folders (Sequence[ClassFolder]): The folders of the classes.

    Raises:
        ValueError: Two clips have one name.
    """
    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(lambda folder: list(_clips(folder)), folders))
    return [clip for clips in found for clip in clips]


def is_clip(clip: ClassClip) -> bool:
    """Whether there is anything in it."""
    return clip.kind != 'hollow'


def choose_source(clips: Sequence[ClassClip]) -> str:
    """Return what the clips are, ``'videos'`` or ``'frames'``.

    Raises:
        ValueError: There are both.
    """
    first = {clip.kind: clip.path for clip in reversed(clips)}
    if {'videos', 'frames'} <= first.keys():
        fail(
            'the clips must be all videos or all folders of frames, got '
            f'{first["videos"]} and {first["frames"]}',
            "choose one by source='videos' or 'frames' (--source), or keep "
            'them in two folders',
        )
    return 'frames' if 'frames' in first else 'videos'


def _clips(folder: ClassFolder) -> Iterator[ClassClip]:
    prefix = f'{folder.split}/{folder.name}/'.lstrip('/')
    real = os.path.realpath(folder.path)
    seen: dict[tuple[bool, str], str] = {}
    for kind, path in _walk(folder.path, (real,), set()):
        below = os.path.relpath(path, folder.path).replace(os.sep, '/')
        if kind == 'videos':
            below = os.path.splitext(below)[0]
        name = normalise(prefix + below)
        # Without suffix, so that a video and its face crops are in one split.
        key = kind == 'videos', name.lower()
        if key in seen:
            fail(
                'clips must differ by more than suffix and case, got '
                f'{seen[key]} and {path}',
                'rename one of them, or remove it if it is a copy',
            )
        seen[key] = path
        yield ClassClip(name, path, kind, folder)


def _walk(
    folder: str,
    chain: tuple[str, ...],
    linked: set[str],
    in_link: bool = False,
) -> Iterator[tuple[str, str]]:
    """Kind and path of each clip.

    Args:
        folder (str): Where to look.
        chain (tuple[str, ...]): Real paths from the class on.
        linked (set[str]): Where links within links have led to, each of
            which is followed once: a few could make endlessly many ways.
        in_link (bool): Whether a link led to this folder.
    """
    if len(chain) > DEEPEST:
        fail(
            f'folders must not be deeper than {DEEPEST} levels, got {folder}',
            'remove it',
        )
    videos, below, images = [], [], False
    for entry in _scan(folder):
        suffix = os.path.splitext(entry.name)[1].lower()
        if is_dir(entry):
            below.append(entry)
        elif suffix in VIDEO_SUFFIXES:
            videos.append(entry)
        else:
            images = images or suffix in IMAGE_SUFFIXES
    for entry in _sorted(videos):
        yield 'videos', entry.path
    top = len(chain) == 1  # the class, where images are thumbnails
    if images and not top:
        yield 'frames', folder
        return
    if not (videos or below or top):
        yield 'hollow', folder
    for entry in _sorted(below):
        real = os.path.join(chain[-1], entry.name)
        link = entry.is_symlink()
        if link:
            real = os.path.realpath(entry.path)
        if leads_up(real, chain) or (link and in_link and real in linked):
            continue
        if link and in_link:
            linked.add(real)
        yield from _walk(entry.path, (*chain, real), linked, in_link or link)


def _scan(folder: str) -> list[os.DirEntry]:
    # Unsorted, unlike `list_visible`: the frames of a clip are many.
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_stray(entry.name)]
    except OSError:
        return []  # whoever looks into the clip says why


def _sorted(entries: list[os.DirEntry]) -> list[os.DirEntry]:
    return sorted(entries, key=lambda entry: natural_key(entry.name))
