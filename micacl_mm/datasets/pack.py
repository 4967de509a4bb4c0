"""The frames of a set in one file, see docs/data.md."""

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from micacl_mm.errors import ConfigError, DataError, MissingFileError
from micacl_mm.utils.files import replacing
from micacl_mm.utils.folders import is_image, list_frames, walk
from micacl_mm.utils.workers import track

AGAIN = 'run micacl pack again with the folder of the clips'
_APPLICATION = 0x4D434C31  # marks the file as a pack of this version
_TABLE = (
    'CREATE TABLE frames (clip BLOB, name BLOB, size INTEGER, '
    'crc32 INTEGER, data BLOB)'
)


class FramePack:
    """Read frames out of a pack, in any process and thread.

    A pack is an SQLite file, opened read-only by the first reading in each
    process. Each frame that is read is compared with its checksum.

    Args:
        path (str): A file made by ``micacl pack``.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is no pack, damaged, or has been replaced.

    Example:
        >>> pack = FramePack('dfew.pack')
        >>> jpeg = pack.read('00001', '00001_00007.jpg')
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        if not os.path.isfile(self.path):
            raise MissingFileError(
                f'pack {path} does not exist or is no file',
                'run micacl pack, or leave the pack out',
            )
        self._file = _identify(self.path)
        if self._ask('PRAGMA application_id') != [(_APPLICATION,)]:
            raise DataError(f'{path} is no pack of frames', AGAIN)

    def clips(self) -> list[str]:
        """Names of all clips: their folders below the packed one."""
        asked = self._ask('SELECT DISTINCT clip FROM frames')
        return [os.fsdecode(name) for (name,) in asked]

    def read(self, clip: str, name: str) -> bytes:
        """The bytes of a frame's file."""
        asked = 'SELECT data, crc32 FROM frames WHERE clip = ? AND name = ?'
        found = self._ask(asked, clip, name)
        if not found:
            raise DataError(
                f'pack {self.path} has no frame {name} of clip {clip}', AGAIN
            )
        data, crc32 = found[0]
        if zlib.crc32(data) != crc32:
            raise DataError(
                f'pack {self.path} is damaged at {clip}/{name}',
                f'delete it and {AGAIN}',
            )
        return data

    def match(self, clips: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Names of clips in the pack by their folders, which must match it.

        ``clips`` are all images of each folder. Their names are compared, and
        the sizes of the first, the middle and the last one (a request each on
        a network disk).
        """
        places = self._places(clips)
        # Threads, since the time goes into waiting for a network disk.
        with ThreadPoolExecutor(max_workers=16) as pool:
            found = pool.map(
                self._compare, places.values(), places, clips.values()
            )
            wrong = next(filter(None, found), None)
        if wrong:
            raise DataError(
                f'pack {self.path} does not match the folders: {wrong}',
                f'{AGAIN}, or leave the pack out',
            )
        return places

    def _places(self, clips: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Names relative to the folder that was packed, which is unknown."""
        packed, most = set(self.clips()), list(clips)
        paths = [os.path.abspath(folder) for folder in clips]
        root = Path(os.path.commonpath(paths))
        for above in (root, *root.parents):
            names = [
                Path(path).relative_to(above).as_posix() for path in paths
            ]
            missing = [name for name in names if name not in packed]
            if not missing:
                return dict(zip(clips, names, strict=True))
            most = min(most, missing, key=len)
        raise DataError(
            f'pack {self.path} lacks {len(most)} of {len(clips)} clips, '
            f'{most[0]} first',
            f'{AGAIN}, or leave the pack out',
        )

    def _compare(self, place: str, folder: str, names: Sequence[str]) -> str:
        """What differs between the pack and a folder."""
        asked = 'SELECT name, size FROM frames WHERE clip = ?'
        packed = {os.fsdecode(n): size for n, size in self._ask(asked, place)}
        for name in sorted(packed.keys() ^ set(names)):
            return f'{name} is only in {"pack" if name in packed else folder}'
        for name in {names[0], names[len(names) // 2], names[-1]}:
            size = os.path.getsize(os.path.join(folder, name))
            if size != packed[name]:
                return (
                    f'{name} in {folder} has {size} bytes instead of '
                    f'{packed[name]}'
                )
        return ''

    def _ask(self, asked: str, *names: str) -> list[tuple]:
        # Neither a forked process nor a thread may use another's connection.
        here = os.getpid(), threading.get_ident()
        with _clear_errors(self.path):
            connection = _connect(self.path, self._file, *here)
            # As bytes: the name of a file may be no text in UTF-8.
            keys = [os.fsencode(name) for name in names]
            return connection.execute(asked, keys).fetchall()


def _identify(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=64)
def _connect(path: str, file: tuple, *_: int) -> sqlite3.Connection:
    """Open a pack, once in each thread of each process."""
    if _identify(path) != file:
        raise DataError(
            f'pack {path} was replaced after it was compared with the folders',
            'start again',
        )
    # Immutable: no locks, which network disks may lack.
    uri = f'file:{quote(os.fsencode(path))}?mode=ro&immutable=1'
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


@contextmanager
def _clear_errors(path: str) -> Iterator[None]:
    """Turn what SQLite says into an error about the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(
            f'pack {path} cannot be read or written ({error}). Fix: see '
            'whether another command writes it, and whether the disk has '
            'room and permits it.'
        ) from None
    except sqlite3.DatabaseError as error:
        raise DataError(
            f'pack {path} is damaged or no pack ({error})',
            f'delete it and {AGAIN}',
        ) from None


def pack_frames(
    folder: str, out: str, workers: int = 8, progress: bool = False
) -> int:
    """Pack every folder with images below one into a file; count them.

    ``out`` is replaced once the new file is whole, never changed in place.
    ``workers`` are threads that read.
    """
    clips: dict[str, str] = {}  # path by name
    for found in walk(folder):
        if found.error is not None:
            raise found.error
        if any(is_image(entry.name) for entry in found.files):
            name = os.path.relpath(found.path, folder).replace(os.sep, '/')
            clips[name] = found.path
    if not clips:
        raise ConfigError(
            f'no folder with images in {folder}',
            'name the folder of the folders of frames',
        )
    if os.path.exists(out):
        FramePack(out)  # refuses to replace a file of anything else
    with (
        replacing(Path(out)) as part,
        _clear_errors(str(part)),
        closing(sqlite3.connect(part, isolation_level=None)) as connection,
        ThreadPoolExecutor(workers) as pool,
    ):
        connection.execute('PRAGMA synchronous = OFF')  # one fsync at the end
        connection.execute('PRAGMA journal_mode = OFF')
        connection.execute(f'PRAGMA application_id = {_APPLICATION}')
        connection.execute(_TABLE)
        connection.execute('BEGIN')
        # A few clips at a time, which is what the memory holds.
        names = list(clips)
        parts = (names[at : at + 32] for at in range(0, len(names), 32))
        read = (
            rows
            for part in parts
            for rows in pool.map(_read_clip, part, map(clips.get, part))
        )
        for rows in track(read, len(clips), progress):
            connection.executemany(
                'INSERT INTO frames VALUES (?, ?, ?, ?, ?)', rows
            )
        connection.execute('CREATE INDEX by_name ON frames (clip, name)')
        connection.execute('COMMIT')
    return len(clips)


def _read_clip(clip: str, folder: str) -> list[tuple]:
    """Rows of a clip's frames."""
    rows = []
    for name in list_frames(folder):
        data = Path(folder, name).read_bytes()
        keys = os.fsencode(clip), os.fsencode(name)
        rows.append((*keys, len(data), zlib.crc32(data), data))
    return rows
