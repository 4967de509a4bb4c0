"""Make a pack of a folder of frames."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Optional

from .ahead import Progress, map_ahead
from .clip_folders import (
    ClipBytes,
    ClipFolder,
    find_clip_folders,
    list_sizes,
    try_to_read,
)
from .frame_pack import close_reader
from .layout import (
    HEADER,
    Header,
    check_installed,
    dump_index,
    frame_key,
    index_key,
    list_clips,
    lmdb,
    load_header,
    load_index,
    one_sentence,
    open_reader,
)

_MAP_STEP = 1 << 30  # bytes of address space at first; doubled where full
_COMMIT_BYTES = 64 << 20
_COMMIT_SECONDS = 2.0


def pack_frames(
    source: str, out: str, *, workers: int = 4, progress: bool = False
) -> dict:
    """Pack every clip below a folder into one file.

    A second call does what is missing: new clips, and clips whose names or
    sizes have changed; clips that are no longer there leave the pack. What
    is in the pack does not depend on interruptions or on ``workers``.

    Args:
        source (str): Folder of clips, in any nesting; a folder with images
            is a clip.
        out (str): The pack: new, or to be gone on with.
        workers (int): Threads that read. Defaults to 4.
        progress (bool): Show progress on stderr. Defaults to False.

    Returns:
        dict: ``clips``, ``frames`` and ``bytes`` in the pack; ``done``,
        ``skipped`` and ``removed`` clips of this run, ``seconds``, and
        ``failures``, path and reason of what is broken.

    Raises:
        ImportError: lmdb is not installed.
        ValueError: For a wrong argument, and an ``out`` that is no pack or
            one of other clips.
        OSError: It cannot be written.
    """
    check_installed()
    source = os.path.abspath(os.path.expanduser(source))
    out = os.path.abspath(os.path.expanduser(out))
    close_reader(out)
    _check(source, out, workers)
    start = time.monotonic()
    clips = find_clip_folders(source)
    if not clips:
        raise ValueError(
            f'pack_frames: no images below {source}; do name the folder of '
            "the clips' folders of frames"
        )
    with _opened(out) as writer:
        packed = writer.packed()
        names = {clip.name for clip in clips}
        if packed and not packed & names:
            raise ValueError(
                f'pack_frames: {out} holds clips of another folder and none '
                f'of {source}; do choose a new file'
            )
        gone = sorted(packed - names)
        old = [clip for clip in clips if clip.name in packed]
        kept = set(writer.unchanged(old, workers))
        waiting = [clip for clip in clips if clip.name not in kept]
        writer.begin(gone)
        failures = _write(writer, waiting, workers, progress)
        header = writer.finish()
    return {
        **header._asdict(),
        'done': writer.added,
        'skipped': len(kept),
        'removed': len(gone),
        'failures': failures,
        'seconds': time.monotonic() - start,
    }


def _check(source: str, out: str, workers: int) -> None:
    if workers < 1:
        raise ValueError(f'pack_frames: workers must be 1 or more: {workers}')
    if not os.path.isdir(source):
        raise ValueError(f'pack_frames: {source} is no folder')
    if os.path.isdir(out):
        raise ValueError(f'pack_frames: {out} is a folder; do name a file')
    if not os.path.exists(out):
        return
    with (
        closing(open_reader(out)) as environment,
        environment.begin() as begun,
    ):
        found = load_header(begun)
        if found is None and begun.stat()['entries']:
            raise ValueError(
                f'pack_frames: {out} is there and is no pack of this tool; '
                'do choose a new file'
            )


def _write(
    writer: '_Writer',
    clips: Sequence[ClipFolder],
    workers: int,
    progress: bool,
) -> list[tuple[str, str]]:
    failures: list[tuple[str, str]] = []
    shown = Progress(len(clips), progress)
    with closing(map_ahead(try_to_read, clips, workers)) as read:
        for clip in read:
            failures += clip.problems
            if clip.frames:
                writer.add(clip)
            shown.step(len(failures))
    return failures


@contextmanager
def _opened(out: str) -> Iterator['_Writer']:
    """A writer; what is ready is kept however the run ends."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    try:
        environment = lmdb.open(out, subdir=False, map_size=_room(out))
        with closing(environment), one_sentence(out):
            writer = _Writer(environment)
            try:
                yield writer
            finally:
                writer.flush()
    except lmdb.Error as error:
        raise OSError(f'pack_frames: cannot write {out}: {error}') from None


def _room(out: str) -> int:
    size = os.path.getsize(out) if os.path.exists(out) else 0
    return 2 * size + _MAP_STEP


class _Writer:
    """Puts clips into a pack, some of them in each transaction."""

    def __init__(self, environment: 'lmdb.Environment') -> None:
        self._environment = environment
        self._pending: list[ClipBytes] = []
        self._bytes = 0
        self._since = time.monotonic()
        self.added = 0

    def packed(self) -> set[str]:
        """Names of the clips that are in it."""
        with self._environment.begin() as begun:
            return set(list_clips(begun))

    def unchanged(
        self, clips: Sequence[ClipFolder], workers: int
    ) -> Iterator[str]:
        """Names of those whose frames have the names and sizes they had."""
        with closing(map_ahead(list_sizes, clips, workers)) as sizes:
            for clip, found in zip(clips, sizes, strict=True):
                with self._environment.begin() as begun:
                    frames = load_index(begun.get(index_key(clip.name)))
                if {frame.name: frame.size for frame in frames} == found:
                    yield clip.name

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
                _delete(begun, read.clip.name)
                for frame, data in zip(read.frames, read.data, strict=True):
                    begun.put(frame_key(read.clip.name, frame.name), data)
                record = dump_index(read.frames)
                begun.put(index_key(read.clip.name), record)

        pending, self._pending, self._bytes = self._pending, [], 0
        if pending:
            self._commit(work)
        self._since = time.monotonic()

    def finish(self) -> Header:
        """Count what is in the pack and mark it as complete."""
        self.flush()
        with self._environment.begin() as begun:
            lists = [
                load_index(begun.get(index_key(clip)))
                for clip in list_clips(begun)
            ]
        frames = [frame for frames in lists for frame in frames]
        header = Header(
            True, len(lists), len(frames), sum(f.size for f in frames)
        )
        self._commit(lambda begun: begun.put(HEADER, header.dump()))
        return header

    def _commit(self, work) -> None:
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
    record: Optional[bytes] = begun.get(index_key(clip))
    for frame in [] if record is None else load_index(record):
        begun.delete(frame_key(clip, frame.name))
    begun.delete(index_key(clip))
