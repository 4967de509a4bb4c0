"""The frames of a set in one file, see docs/packs.md."""

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from micacl_mm.errors import ConfigError, DataError, MissingFileError
from micacl_mm.utils.files import replacing
from micacl_mm.utils.folders import is_image, list_frames, walk
from micacl_mm.utils.workers import Progress

AGAIN = 'run micacl pack again with the folder of the clips'
_APPLICATION = 0x4D434C31  # marks the file as a pack of this version
_PROBES = 200  # clips, about, of which a frame's bytes are compared
_TABLE = (
    'CREATE TABLE frames (clip BLOB, name BLOB, size INTEGER, '
    'crc32 INTEGER, data BLOB)'
)


class PackedFrame(NamedTuple):
    """A frame as the pack describes it."""

    size: int
    crc32: int


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
        self._local = threading.local()
        with self._asking() as connection:
            (found,) = connection.execute('PRAGMA application_id').fetchone()
        if found != _APPLICATION:
            raise DataError(f'{path} is no pack of frames', AGAIN)

    def clips(self) -> list[str]:
        """Names of all clips: their folders below the packed one."""
        asked = self._ask('SELECT DISTINCT clip FROM frames')
        return [os.fsdecode(name) for (name,) in asked]

    def frames(self, clip: str) -> dict[str, PackedFrame]:
        """Size and checksum of a clip's frames by name."""
        asked = 'SELECT name, size, crc32 FROM frames WHERE clip = ?'
        return {
            os.fsdecode(name): PackedFrame(*frame)
            for name, *frame in self._ask(asked, clip)
        }

    def read(self, clip: str, name: str) -> bytes:
        """The bytes of a frame's file.

        Raises:
            DataError: It is not in the pack, or damaged there.
        """
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

    def _ask(self, asked: str, *names: str) -> list[tuple]:
        with self._asking() as connection:
            # As bytes: the name of a file may be no text in UTF-8.
            keys = [os.fsencode(name) for name in names]
            return connection.execute(asked, keys).fetchall()

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        # Neither a forked process nor a thread may use another's connection.
        if getattr(self._local, 'process', None) != os.getpid():
            if _identify(self.path) != self._file:
                raise DataError(
                    f'pack {self.path} was replaced after it was compared '
                    'with the folders',
                    'start again',
                )
            with _one_sentence(self.path):
                self._local.connection = _connect(self.path)
            self._local.process = os.getpid()
        with _one_sentence(self.path):
            yield self._local.connection

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _reopen, (type(self), self.path, self._file)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.path!r})'


def _reopen(kind: type, path: str, file: tuple) -> FramePack:
    """The same pack in another process, which opens it when it reads."""
    pack = kind.__new__(kind)
    pack.path, pack._file, pack._local = path, file, threading.local()
    return pack


def _identify(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _connect(path: str) -> sqlite3.Connection:
    # Immutable: no locks, which network disks may lack.
    uri = f'file:{quote(os.fsencode(path))}?mode=ro&immutable=1'
    return sqlite3.connect(uri, uri=True)


@contextmanager
def _one_sentence(path: str) -> Iterator[None]:
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


def fit_pack(
    pack: FramePack, clips: Sequence[tuple[str, Sequence[str]]]
) -> list[str]:
    """Find the clips of a data set in a pack, and see that they are the same.

    The folders count: the names of all frames must be those of the folder,
    the sizes of the first, the middle and the last frame of each clip (a
    request each on a network disk), and the bytes of one frame in each of
    some 200 clips spread over the set.

    Args:
        pack (FramePack): The pack.
        clips (Sequence[tuple[str, Sequence[str]]]): Folder of each clip and
            the names of all images in it.

    Returns:
        list[str]: Name of each clip in the pack.

    Raises:
        DataError: It does not match the folders.
    """
    folders = [os.path.abspath(folder) for folder, _ in clips]
    places = _name_clips(pack, folders)
    step = -(-len(clips) // _PROBES)

    def compare(at: int) -> str:
        packed, names = pack.frames(places[at]), clips[at][1]
        if packed.keys() != set(names):
            new = sorted(set(names) - packed.keys())
            gone = sorted(packed.keys() - set(names))
            only = f'{new[0]} is only in' if new else f'{gone[0]} is not in'
            return f'{only} {folders[at]}'
        for name in {names[0], names[len(names) // 2], names[-1]}:
            size = os.path.getsize(os.path.join(folders[at], name))
            if size != packed[name].size:
                return (
                    f'{name} in {folders[at]} has {size} bytes instead of '
                    f'{packed[name].size}'
                )
        if at % step:
            return ''
        # Not the same one of each clip.
        name = names[at // step % len(names)]
        data = Path(folders[at], name).read_bytes()
        if PackedFrame(len(data), zlib.crc32(data)) != packed[name]:
            return f'{name} in {folders[at]} differs from what was packed'
        return ''

    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        wrong = list(filter(None, pool.map(compare, range(len(clips)))))
    if wrong:
        more = f' (and {len(wrong) - 1} more clips)' if wrong[1:] else ''
        raise DataError(
            f'pack {pack.path} does not match the folders: {wrong[0]}{more}',
            f'{AGAIN}, or leave the pack out',
        )
    return places


def _name_clips(pack: FramePack, folders: Sequence[str]) -> list[str]:
    """Names relative to the folder that was packed, which is not known."""
    packed = set(pack.clips())
    root = os.path.commonpath(folders)
    most: list[str] = folders
    while True:
        names = [
            os.path.relpath(path, root).replace(os.sep, '/')
            for path in folders
        ]
        missing = [name for name in names if name not in packed]
        if not missing:
            return names
        most = min(most, missing, key=len)
        above = os.path.dirname(root)
        if above == root:
            raise DataError(
                f'pack {pack.path} lacks {len(most)} of {len(folders)} '
                f'clips, {most[0]} first',
                f'{AGAIN}, or leave the pack out',
            )
        root = above


def pack_frames(
    folder: str, out: str, workers: int = 8, progress: bool = False
) -> int:
    """Pack every folder with images below one into a file.

    ``out`` is replaced once the new file is whole, never changed in place.

    Args:
        folder (str): Folder of the folders of frames.
        out (str): The pack.
        workers (int): Threads that read. Defaults to 8.
        progress (bool): Show progress on stderr. Defaults to False.

    Returns:
        int: Number of clips.

    Raises:
        ConfigError: No clip below ``folder``, or ``out`` is no pack.
        OSError: A folder cannot be read, or ``out`` not be written.
    """
    clips = _list_clips(folder)
    if os.path.exists(out):
        FramePack(out)  # refuses to replace a file of anything else
    line = Progress(len(clips), show=progress)
    with (
        replacing(Path(out)) as part,
        _one_sentence(str(part)),
        closing(sqlite3.connect(part, isolation_level=None)) as connection,
        ThreadPoolExecutor(workers) as pool,
    ):
        connection.execute('PRAGMA synchronous = OFF')  # one fsync at the end
        connection.execute('PRAGMA journal_mode = OFF')
        connection.execute(f'PRAGMA application_id = {_APPLICATION}')
        connection.execute(_TABLE)
        connection.execute('BEGIN')
        # A few clips at a time, which is what the memory holds.
        for at in range(0, len(clips), 32):
            for name, frames in pool.map(_read_clip, clips[at : at + 32]):
                rows = (
                    (name, os.fsencode(n), len(d), zlib.crc32(d), d)
                    for n, d in frames
                )
                connection.executemany(
                    'INSERT INTO frames VALUES (?, ?, ?, ?, ?)', rows
                )
                line.step()
        connection.execute('CREATE INDEX by_name ON frames (clip, name)')
        connection.execute('COMMIT')
    return len(clips)


def _list_clips(folder: str) -> list[tuple[str, str]]:
    """Name and path of each folder with images."""
    clips = []
    for found in walk(folder):
        if found.error is not None:
            raise found.error
        if any(is_image(entry.name) for entry in found.files):
            name = os.path.relpath(found.path, folder).replace(os.sep, '/')
            clips.append((name, found.path))
    if not clips:
        raise ConfigError(
            f'no folder with images in {folder}',
            'name the folder of the folders of frames',
        )
    return clips


def _read_clip(clip: tuple[str, str]) -> tuple[bytes, list]:
    name, path = clip
    frames = [(n, Path(path, n).read_bytes()) for n in list_frames(path)]
    return os.fsencode(name), frames
