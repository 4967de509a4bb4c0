"""The files of all clips, with their sizes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Optional


@dataclass(frozen=True)
class ClipFiles:
    """A clip on disk.

    Args:
        path (str): Its folder of frames, or its video.
        video_id (str): Its name in the set.
        label (int): Its class.
        loader (str): Where it was met first.
        names (tuple[str, ...]): Files of frames in order; none of a video.
        sizes (tuple[int, ...]): Bytes of each file.
        changed (int): Nanoseconds of the last change of a file.
        absent (tuple[str, ...]): Frames that the data set names, and that
            are not there. Defaults to none.
    """

    path: str
    video_id: str
    label: Optional[int]
    loader: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    changed: int
    absent: tuple[str, ...] = ()

    @property
    def is_video(self) -> bool:
        """Whether it is one file."""
        return bool(self.sizes) and not self.names

    def files(self) -> Iterator[tuple[str, int]]:
        """Path and size of each file."""
        paths = [os.path.join(self.path, name) for name in self.names]
        paths = [self.path] if self.is_video else paths
        yield from zip(paths, self.sizes, strict=True)


def list_clips(
    datasets: Iterable[tuple[str, Any]],
) -> tuple[list[ClipFiles], dict[str, str]]:
    """Look up the files of all clips, each once.

    Args:
        datasets (Iterable[tuple[str, Any]]): Loader and data set.

    Returns:
        tuple[list[ClipFiles], dict[str, str]]: Of data sets whose clips are
        folders or files, those that are there, and the loader by path of
        those that are not.
    """
    # Several clips may be parts of one folder.
    found: dict[str, tuple[str, dict[tuple, dict]]] = {}
    for name, dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            path = info.get('frame_dir') or info.get('filename')
            if path:
                parts = found.setdefault(str(path), (name, {}))[1]
                parts.setdefault(tuple(map(info.get, _PART)), info)
    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        stats = list(pool.map(lambda it: _stat(it[0], *it[1]), found.items()))
    absent = {
        path: loader
        for (path, (loader, parts)), clip in zip(
            found.items(), stats, strict=True
        )
        if clip is None and not any(map(_needs_no_file, parts.values()))
    }
    return [clip for clip in stats if clip is not None], absent


_PART = ('offset', 'start_index', 'total_frames', 'modality')


def _needs_no_file(info: dict) -> bool:
    """Whether a clip comes from elsewhere: a pack, a skeleton, a server."""
    path = str(info.get('frame_dir') or info.get('filename'))
    return 'pack' in info or 'keypoint' in info or '://' in path


def _stat(
    path: str, loader: str, parts: dict[tuple, dict]
) -> Optional[ClipFiles]:
    if not os.path.exists(path):
        return None
    first = next(iter(parts.values()))
    names: tuple[str, ...] = ()
    stats = {path: os.stat(path)}
    if os.path.isdir(path):
        named = (_frames(path, info) for info in parts.values())
        names = tuple(dict.fromkeys(chain.from_iterable(named)))
        stats = {n: _stat_file(os.path.join(path, n)) for n in names}
    there = {name: stat for name, stat in stats.items() if stat}
    elsewhere = _needs_no_file(first)
    if not names and path not in there or elsewhere and not there:
        return None
    return ClipFiles(
        path=path,
        video_id=str(first.get('video_id') or path),
        label=first.get('label'),
        loader=loader,
        names=tuple(name for name in names if name in there),
        sizes=tuple(stat.st_size for stat in there.values()),
        changed=max((s.st_mtime_ns for s in there.values()), default=0),
        absent=tuple(n for n in names if n not in there and not elsewhere),
    )


def _frames(path: str, info: dict) -> Sequence[str]:
    """Files that a data set takes from a folder; others may lie beside."""
    if info.get('frames'):
        return info['frames']
    template, total = info.get('filename_tmpl'), info.get('total_frames')
    if not template or not isinstance(total, int):  # AVA has seconds instead
        pattern = re.sub(r'\\{[^}]*\\}', '.*', re.escape(template or '{}'))
        names = sorted(os.listdir(path))
        return [n for n in names if n[0] != '.' and re.fullmatch(pattern, n)]
    first = info.get('start_index', 1) + info.get('offset', 0)
    numbers = range(first, first + total)
    if info.get('modality') == 'Flow':
        return [template.format(axis, i) for i in numbers for axis in 'xy']
    return [template.format(i) for i in numbers]


def _stat_file(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
