"""The frames of a set in one file."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from .layout import (
    REPACK,
    ClipIndex,
    Header,
    PackedFrame,
    check_installed,
    frame_key,
    index_key,
    list_clips,
    lmdb,
    load_header,
    one_sentence,
    open_reader,
    part_of,
)

FileId = tuple[int, int, int]

#: Open files by path, and which file it was: LMDB opens none twice.
_environments: dict[str, tuple[FileId, 'lmdb.Environment']] = {}
_lock = threading.Lock()


def _identify(path: str) -> FileId:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _open(path: str, wanted: FileId) -> 'lmdb.Environment':
    """The environment of that very file, one for all threads."""
    with _lock:
        held, environment = _environments.get(path, (None, None))
        if held == wanted:
            return environment
        if _identify(path) != wanted:
            raise ValueError(
                f'pack {path} was replaced after it was compared with the '
                'folders; do start again'
            )
        _close(path)  # an older file of this name
        _environments[path] = wanted, open_reader(path)
        return _environments[path][1]


def _close(path: str) -> None:
    _, environment = _environments.pop(path, (None, None))
    if environment is not None:
        environment.close()


def close_reader(path: str) -> None:
    """Close a pack in this process; the next reading opens it again."""
    with _lock:
        _close(os.path.realpath(path))


def _start_anew() -> None:
    """A worker may not read through what its parent has opened."""
    global _lock
    _lock = threading.Lock()  # a thread of the parent may hold the other
    for path in list(_environments):
        _close(path)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_start_anew)


def _unfinished(path: str) -> ValueError:
    return ValueError(
        f'pack {path} is unfinished; do {REPACK} again with the same folder, '
        'it goes on from there'
    )


class FramePack:
    """Read frames out of a pack, in any process that gets hold of this.

    The file is opened by the first reading in each process, fork or spawn,
    read-only and without locks. It is the file that was there when this was
    made, or none: a file put in its place since then is refused by processes
    that have not read yet. See docs/packs.md.

    Args:
        path (str): A file made by ``micacl pack``.

    Attributes:
        header (Header): Numbers of clips, frames and bytes.

    Raises:
        ImportError: lmdb is not installed.
        FileNotFoundError: There is no such file.
        ValueError: It is no pack, damaged or unfinished.
        OSError: It cannot be read.

    Example:
        >>> pack = FramePack('dfew.lmdb')
        >>> jpeg = pack.read('00001', '00001_00007.jpg')
    """

    def __init__(self, path: str) -> None:
        check_installed()
        self.path = os.path.abspath(os.path.expanduser(path))
        self._real = os.path.realpath(self.path)
        if not os.path.isfile(self.path):
            if os.path.isfile(part_of(self._real)):
                raise _unfinished(path)
            raise FileNotFoundError(
                f'pack {path} does not exist or is no file; do {REPACK}, or '
                'leave the pack out'
            )
        if not os.path.getsize(self.path):
            raise _unfinished(path)
        self._file = _identify(self._real)
        with self._begin() as transaction:
            header = load_header(transaction, path)
            bare = not transaction.stat()['entries']
        if bare or (header and not header.complete):
            raise _unfinished(path)
        if header is None:
            raise ValueError(
                f'{path} is no pack of frames; do name a file made by '
                'micacl pack'
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
            return None if record is None else ClipIndex.load(record).frames

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
        environment = _open(self._real, self._file)
        with one_sentence(self.path), environment.begin() as begun:
            yield begun

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.path!r})'
