"""Put clips into a pack."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from .clip_folders import ClipBytes
from .layout import (
    HEADER,
    ClipIndex,
    Header,
    frame_key,
    index_key,
    list_clips,
    lmdb,
    one_sentence,
)

_MAP_STEP = 1 << 30  # bytes of address space at first; doubled where full
_COMMIT_BYTES = 64 << 20
_COMMIT_SECONDS = 2.0


class PackWriter:
    """Put clips into a pack, some of them in each transaction.

    Args:
        environment (lmdb.Environment): Open for writing, by this alone.
    """

    def __init__(self, environment: 'lmdb.Environment') -> None:
        self._environment = environment
        self._pending: list[ClipBytes] = []
        self._bytes = 0
        self._since = time.monotonic()
        self.added = 0

    @classmethod
    @contextmanager
    def opened(cls, path: str) -> Iterator['PackWriter']:
        """A writer; what is ready is kept however the run ends."""
        size = os.path.getsize(path) if os.path.exists(path) else 0
        with (
            one_sentence(path),
            closing(
                lmdb.open(
                    path,
                    subdir=False,
                    lock=False,
                    map_size=2 * size + _MAP_STEP,
                )
            ) as environment,
        ):
            writer = cls(environment)
            try:
                yield writer
            finally:
                writer.flush()

    def begin(self, gone: Sequence[str]) -> None:
        """Mark the pack as unfinished and take clips out of it."""

        def work(begun: 'lmdb.Transaction') -> None:
            begun.put(HEADER, Header(False, 0, 0, 0).dump())
            for clip in gone:
                _delete(begun, clip)

        self._commit(work)

    def add(self, clip: ClipBytes) -> None:
        """Put a clip in, now or soon."""
        self._pending.append(clip)
        self.added += 1
        self._bytes += sum(map(len, clip.data))
        late = time.monotonic() - self._since > _COMMIT_SECONDS
        if late or self._bytes > _COMMIT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting, all or nothing of each clip."""

        def work(begun: 'lmdb.Transaction') -> None:
            for read in pending:
                name, frames = read.clip.name, read.index.frames
                _delete(begun, name)
                for frame, data in zip(frames, read.data, strict=True):
                    begun.put(frame_key(name, frame.name), data)
                begun.put(index_key(name), read.index.dump())

        pending, self._pending, self._bytes = self._pending, [], 0
        if pending:
            self._commit(work)
        self._since = time.monotonic()

    def finish(self) -> Header:
        """Count what is in the pack and mark it as complete."""
        self.flush()
        with self._environment.begin() as begun:
            lists = [
                ClipIndex.load(begun.get(index_key(clip))).frames
                for clip in list_clips(begun)
            ]
        frames = [frame for frames in lists for frame in frames]
        header = Header(
            True, len(lists), len(frames), sum(f.size for f in frames)
        )
        self._commit(lambda begun: begun.put(HEADER, header.dump()))
        return header

    def _commit(self, work: Callable[['lmdb.Transaction'], object]) -> None:
        """Do it in one transaction, again with more room if it is full."""
        while True:
            try:
                with self._environment.begin(write=True) as begun:
                    work(begun)
                return
            except lmdb.MapFullError:
                size = self._environment.info()['map_size']
                self._environment.set_mapsize(2 * size)


def _delete(begun: 'lmdb.Transaction', clip: str) -> None:
    record = begun.get(index_key(clip))
    frames = [] if record is None else ClipIndex.load(record).frames
    for frame in frames:
        begun.delete(frame_key(clip, frame.name))
    begun.delete(index_key(clip))
