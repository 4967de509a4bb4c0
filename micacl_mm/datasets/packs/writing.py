"""Make a pack of a folder of frames."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Optional

from .ahead import Progress, map_ahead
from .clip_folders import (
    ClipFolder,
    find_clip_folders,
    is_unchanged,
    try_to_read,
)
from .frame_pack import close_reader
from .layout import (
    ClipIndex,
    Header,
    check_installed,
    index_key,
    list_clips,
    load_header,
    one_sentence,
    open_reader,
    part_of,
)
from .pack_writer import PackWriter

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class _Plan(NamedTuple):
    """What there is to do; ``whole`` is the header if that is nothing."""

    gone: list[str]
    kept: set[str]
    whole: Optional[Header] = None


def pack_frames(
    source: str,
    out: str,
    *,
    workers: int = 4,
    again: bool = False,
    prune: bool = False,
    progress: bool = False,
) -> dict:
    """Pack every clip below a folder into one file.

    A second call does what is missing: new clips, and clips whose names,
    sizes or newest time have changed; clips that are no longer there leave
    the pack, unless they lie at or below a folder that cannot be listed.
    ``out`` is never written to: a file beside it takes its place when that
    is whole. What is in it does not depend on interruptions or ``workers``.

    Args:
        source (str): Folder of clips, in any nesting; a folder with images
            is a clip.
        out (str): The pack: new, or to be gone on with.
        workers (int): Threads that read. Defaults to 4.
        again (bool): Read all clips, changed or not. Defaults to False.
        prune (bool): Let more than half of the clips leave the pack.
            Defaults to False.
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
    out = os.path.realpath(os.path.expanduser(out))  # not to replace a link
    _check(source, out, workers)
    start = time.monotonic()
    found = find_clip_folders(source)
    clips = [clip for clip in found if not clip.problem]
    failures = [
        (folder.path, f'not packed: {folder.problem}')
        for folder in found
        if folder.problem
    ]
    if not clips:
        raise ValueError(
            f'pack_frames: no images below {source}; do name the folder of '
            "the clips' folders of frames"
        )
    with _claimed(out):
        part = part_of(out)
        base = next(filter(_is_begun, (part, out)), None)
        plan = _Plan([], set())
        if base:
            plan = _plan(base, found, workers, again, prune)
        header, added = plan.whole, 0
        if header is None or base == part:
            if base == out:
                _copy(out, part)
            waiting = [clip for clip in clips if clip.name not in plan.kept]
            with PackWriter.opened(part) as writer:
                writer.begin(plan.gone)
                failures += _write(writer, waiting, workers, progress)
                header, added = writer.finish(), writer.added
            close_reader(out)
            os.replace(part, out)
    return {
        **header._asdict(),
        'done': added,
        'skipped': len(plan.kept),
        'removed': len(plan.gone),
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


def _is_begun(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0


def _plan(
    base: str,
    found: Sequence[ClipFolder],
    workers: int,
    again: bool,
    prune: bool,
) -> _Plan:
    """Compare a pack with the folders there are."""
    close_reader(base)
    with (
        closing(open_reader(base)) as environment,
        one_sentence(base),
        environment.begin() as begun,
    ):
        header = load_header(begun, base)
        if header is None and begun.stat()['entries']:
            raise ValueError(
                f'pack_frames: {base} is there and is no pack of this tool; '
                'do choose a new file'
            )
        packed = set(list_clips(begun))
        gone = _find_gone(base, packed, found, prune)
        clips = [clip for clip in found if not clip.problem]
        old = [c for c in clips if c.name in packed and not again]
        pairs = (
            (clip, ClipIndex.load(begun.get(index_key(clip.name))))
            for clip in old
        )
        compared = map_ahead(lambda it: is_unchanged(*it), pairs, workers)
        with closing(compared):
            same = zip(old, compared, strict=True)
            kept = {clip.name for clip, unchanged in same if unchanged}
    done = header and header.complete and not gone and len(kept) == len(clips)
    return _Plan(gone, kept, header if done else None)


def _find_gone(
    base: str, packed: set[str], found: Sequence[ClipFolder], prune: bool
) -> list[str]:
    """Clips of the pack of which it is sure that they are no more."""
    lost = [folder for folder in found if folder.problem]
    gone = sorted(
        clip
        for clip in packed - {clip.name for clip in found}
        if not any(folder.holds(clip) for folder in lost)
    )
    if packed and len(gone) == len(packed):
        raise ValueError(
            f'pack_frames: {base} holds clips of another folder and none of '
            'this; do choose a new file'
        )
    if 2 * len(gone) > len(packed) and not prune:
        raise ValueError(
            f'pack_frames: {len(gone)} of {len(packed)} clips of {base} are '
            f'no longer in the folder, {gone[0]} first; do name the folder '
            'that was packed, or add --prune to let them go'
        )
    return gone


def _copy(out: str, part: str) -> None:
    """Go on from a whole pack, which stays as it is for its readers."""
    fresh = Path(f'{part}.copy')
    try:
        shutil.copyfile(out, fresh)
        fresh.replace(part)
    finally:
        fresh.unlink(missing_ok=True)


def _write(
    writer: PackWriter,
    clips: Sequence[ClipFolder],
    workers: int,
    progress: bool,
) -> list[tuple[str, str]]:
    failures: list[tuple[str, str]] = []
    shown = Progress(len(clips), progress)
    with closing(map_ahead(try_to_read, clips, workers)) as read:
        for clip in read:
            failures += clip.problems
            if clip.index.frames:
                writer.add(clip)
            shown.step(len(failures))
    return failures


@contextmanager
def _claimed(out: str) -> Iterator[None]:
    """Keep a second command from the same pack."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with open(f'{out}-lock', 'wb') as lock:
        try:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'pack_frames: another command writes {out}; do wait for it'
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
