"""What stands in a pack: keys and records, no pickled objects."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Optional

try:
    import lmdb
except ImportError:  # the extra [fast] is not installed
    lmdb = None

FORMAT = 'micacl_mm frame pack'
VERSION = 2
HEADER = b'\0header'
_INDEX = b'\0clip/'
MAX_KEY = 511  # bytes, of LMDB as it is built everywhere
REPACK = 'run micacl pack'


class PackedFrame(NamedTuple):
    """A frame as the index knows it."""

    name: str
    size: int
    crc32: int

    @classmethod
    def of(cls, name: str, data: bytes) -> PackedFrame:
        """Describe a frame."""
        return cls(name, len(data), zlib.crc32(data))


class ClipIndex(NamedTuple):
    """The list of a clip's frames, and the time of its newest file."""

    mtime_ns: int
    frames: list[PackedFrame]

    @classmethod
    def load(cls, record: bytes) -> ClipIndex:
        """Read what :meth:`dump` has stored."""
        stored = json.loads(bytes(record))
        frames = [PackedFrame(*frame) for frame in stored['frames']]
        return cls(stored['mtime_ns'], frames)

    def dump(self) -> bytes:
        """As it is stored."""
        return json.dumps(self._asdict()).encode()


class Header(NamedTuple):
    """The record of the whole pack."""

    complete: bool
    clips: int
    frames: int
    bytes: int

    def dump(self) -> bytes:
        """As it is stored."""
        record = dict(format=FORMAT, version=VERSION, **self._asdict())
        return json.dumps(record).encode()


def part_of(path: str) -> str:
    """The file that becomes the pack when it is whole."""
    return f'{path}.part'


def frame_key(clip: str, name: str) -> bytes:
    """Key of a frame: its clip and its file name, with a slash."""
    return f'{clip}/{name}'.encode(errors='surrogateescape')


def index_key(clip: str) -> bytes:
    """Key of the list of a clip's frames."""
    return _INDEX + clip.encode(errors='surrogateescape')


def list_clips(transaction: lmdb.Transaction) -> Iterator[str]:
    """Names of the clips in a pack."""
    with transaction.cursor() as cursor:
        found = cursor.set_range(_INDEX)
        while found and bytes(cursor.key()).startswith(_INDEX):
            name = bytes(cursor.key())[len(_INDEX) :]
            yield name.decode(errors='surrogateescape')
            found = cursor.next()


def load_header(transaction: lmdb.Transaction, path: str) -> Optional[Header]:
    """Read the record of the pack; None if it is no pack of ours.

    Raises:
        ValueError: It is of another version.
    """
    try:
        record = json.loads(bytes(transaction.get(HEADER) or b'{}'))
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get('format') != FORMAT:
        return None
    if record.get('version') != VERSION:
        raise ValueError(
            f'pack {path} is of version {record.get("version")}, and this '
            f'package reads {VERSION}; do {REPACK} into a new file'
        )
    return Header(*(record[field] for field in Header._fields))


def check_installed() -> None:
    """See that LMDB can be used.

    Raises:
        ImportError: With what to do.
    """
    if lmdb is None:
        raise ImportError(
            "A pack of frames needs the package lmdb; do pip install '.[fast]'"
        )


@contextmanager
def one_sentence(path: str) -> Iterator[None]:
    """Turn what LMDB says into an error about the pack, or about the disk."""
    try:
        yield
    except lmdb.Error as error:
        reason = str(error).rsplit(': ', 1)[-1]
        if isinstance(error, (lmdb.CorruptedError, lmdb.InvalidError)):
            raise ValueError(
                f'pack {path} is damaged or no pack ({reason}); do delete it '
                f'and {REPACK} again'
            ) from None
        raise OSError(
            f'pack {path} cannot be read or written ({reason}); do see '
            'whether the disk is sound, has room and lets you'
        ) from None


def open_reader(path: str) -> lmdb.Environment:
    """Open a pack to be read: nothing is locked, nothing is written.

    Raises:
        ValueError: The file is no LMDB file, or not all of it.
        OSError: It cannot be read.
    """
    with one_sentence(path):
        environment = lmdb.open(
            path,
            subdir=False,
            readonly=True,
            create=False,
            lock=False,
            readahead=True,  # the frames of a clip lie side by side
            max_readers=512,
        )
        pages = environment.info()['last_pgno'] + 1
        size = pages * environment.stat()['psize']
    # Reading behind its end would kill the process.
    if os.path.getsize(path) < size:
        environment.close()
        raise ValueError(
            f'pack {path} is cut off, {os.path.getsize(path)} bytes instead '
            f'of {size}; do copy it again, or delete it and {REPACK}'
        )
    return environment
