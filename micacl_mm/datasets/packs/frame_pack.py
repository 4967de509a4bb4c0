"""The frames of a set in one file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from .layout import (
    REPACK,
    Header,
    PackedFrame,
    check_installed,
    frame_key,
    index_key,
    list_clips,
    lmdb,
    load_header,
    load_index,
    one_sentence,
    open_reader,
)

#: Open files by path: LMDB allows no second opening in a process.
_environments: dict[str, 'lmdb.Environment'] = {}


def close_reader(path: str) -> None:
    """Close a pack in this process; the next reading opens it again."""
    environment = _environments.pop(os.path.realpath(path), None)
    if environment is not None:
        environment.close()


def _close_all() -> None:
    for path in list(_environments):
        close_reader(path)


if hasattr(os, 'register_at_fork'):
    # A worker may not read through what its parent has opened.
    os.register_at_fork(after_in_child=_close_all)


class FramePack:
    """Read frames out of a pack, in any process that gets hold of this.

    The file is opened by the first reading in each process, fork or spawn,
    read-only and without locks. See docs/packs.md.

    Args:
        path (str): A file made by ``tools/data/pack_frames.py``.

    Attributes:
        header (Header): Numbers of clips, frames and bytes.

    Raises:
        ImportError: lmdb is not installed.
        FileNotFoundError: There is no such file.
        ValueError: It is no pack, damaged or unfinished.

    Example:
        >>> pack = FramePack('dfew.lmdb')
        >>> jpeg = pack.read('00001', '00001_00007.jpg')
    """

    def __init__(self, path: str) -> None:
        check_installed()
        self.path = os.path.abspath(os.path.expanduser(path))
        if not os.path.isfile(self.path):
            raise FileNotFoundError(
                f'pack {path} does not exist or is no file; do {REPACK}, or '
                'leave the pack out'
            )
        with self._begin() as transaction:
            try:
                header = load_header(transaction)
            except ValueError as error:
                raise ValueError(f'pack {path} {error}') from None
        if header is None:
            raise ValueError(
                f'{path} is no pack of frames; do name a file made by '
                'tools/data/pack_frames.py'
            )
        if not header.complete:
            raise ValueError(
                f'pack {path} is unfinished; do {REPACK} again with the same '
                'folder, it goes on from there'
            )
        self.header: Header = header

    def clips(self) -> list[str]:
        """Names of all clips: their folders below the packed one."""
        with self._begin() as transaction:
            return list(list_clips(transaction))

    def frames(self, clip: str) -> Optional[list[PackedFrame]]:
        """Names, sizes and checksums of a clip's frames, None without it."""
        with self._begin() as transaction:
            record = transaction.get(index_key(clip))
            return None if record is None else load_index(record)

    def read(self, clip: str, name: str) -> bytes:
        """The bytes of a frame's file.

        Raises:
            KeyError: It is not in the pack.
        """
        with self._begin() as transaction:
            data = transaction.get(frame_key(clip, name))
        if data is None:
            raise KeyError(
                f'pack {self.path} has no frame {name} of clip {clip}; do '
                f'{REPACK} again'
            )
        return data

    def is_sound(self, clip: str, name: str, data: bytes) -> bool:
        """Whether bytes are those that were packed, by their checksum."""
        return PackedFrame.of(name, data) in (self.frames(clip) or [])

    @contextmanager
    def _begin(self) -> Iterator['lmdb.Transaction']:
        path = os.path.realpath(self.path)
        if path not in _environments:
            _environments[path] = open_reader(path)
        with one_sentence(path), _environments[path].begin() as begun:
            yield begun

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.path!r})'
