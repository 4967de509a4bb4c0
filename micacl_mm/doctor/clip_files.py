"""The files of all clips, with their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """

    path: str
    video_id: str
    label: Optional[int]
    loader: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    changed: int

    @property
    def is_video(self) -> bool:
        """Whether it is one file."""
        return not self.names

    def files(self) -> Iterator[tuple[str, int]]:
        """Path and size of each file."""
        paths = [os.path.join(self.path, name) for name in self.names]
        yield from zip(paths or [self.path], self.sizes, strict=True)


def list_clips(datasets: Iterable[tuple[str, Any]]) -> list[ClipFiles]:
    """Look up the files of all clips, each once.

    Args:
        datasets (Iterable[tuple[str, Any]]): Loader and data set.

    Returns:
        list[ClipFiles]: Of data sets whose clips are folders or files.
    """
    found: dict[str, tuple[str, dict]] = {}
    for name, dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            path = info.get('frame_dir') or info.get('filename')
            if path and os.path.exists(path):
                found.setdefault(path, (name, info))
    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(lambda it: _stat(it[0], *it[1]), found.items()))


def _stat(path: str, loader: str, info: dict) -> ClipFiles:
    names = tuple(info.get('frames') or ())
    if os.path.isdir(path) and not names:  # of another library's data set
        names = tuple(sorted(os.listdir(path)))
    stats = [os.stat(os.path.join(path, name)) for name in names]
    stats = stats or [os.stat(path)]
    return ClipFiles(
        path=path,
        video_id=str(info.get('video_id') or path),
        label=info.get('label'),
        loader=loader,
        names=names,
        sizes=tuple(stat.st_size for stat in stats),
        changed=max(stat.st_mtime_ns for stat in stats),
    )
