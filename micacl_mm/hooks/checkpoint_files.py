"""The checkpoints in a work directory, as a kill may have left them."""

import lzma
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import torch

#: Where MMEngine looks up the checkpoint to resume from.
NOTE = 'last_checkpoint'
#: What comes of bytes that are no whole zip file.
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError, NotImplementedError),
)


def is_whole(path: Path) -> bool:
    """Whether all of a checkpoint is there, by the checksums inside.

    Args:
        path (Path): A file that ``torch.save`` wrote.

    Returns:
        bool: False also for files that are none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except ZIP_ERRORS:
        return False


def is_broken(path: Path) -> bool:
    """Whether a file is part of a checkpoint; False for other formats."""
    with open(path, 'rb') as file:
        begin = file.read(2)
    known = b'PK'.startswith(begin) or b'\0\0'.startswith(begin)
    return known and not is_whole(path)


def is_there(path: Path) -> bool:
    """Whether there is a checkpoint, of which nothing is known to lack."""
    # Those of DeepSpeed are folders, which hold checksums of their own.
    return path.is_dir() or (path.is_file() and not is_broken(path))


def checkpoints(folder: Path, template: str) -> Iterator[tuple[int, Path]]:
    """List the checkpoints of a run, highest number first.

    Args:
        folder (Path): Where they lie.
        template (str): Of their names, ``'epoch_{}.pth'``.

    Yields:
        tuple[int, Path]: number of the epoch or iteration, and file.
    """
    head, tail = map(re.escape, template.split('{}'))
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = re.fullmatch(rf'{head}(\d{{1,15}}){tail}', path.name)
        if match:
            found.append((int(match[1]), path))
    yield from sorted(found, reverse=True)


def newest_whole(
    folder: Path, template: str, known: Optional[Path] = None
) -> tuple[Optional[Path], list[Path]]:
    """Find the whole checkpoint that was written last.

    Not that of the highest number: the folder may hold the checkpoints of an
    older, longer training.

    Args:
        folder (Path): Where they lie.
        template (str): Of their names.
        known (Path, optional): A whole one, which only one that was written
            after it can replace. Defaults to None.

    Returns:
        tuple[Path | None, list[Path]]: that one, and the broken ones that
        were written after it.
    """
    found = list(checkpoints(folder, template))
    if known is not None:
        since = known.stat().st_mtime_ns
        found = [it for it in found if it[1].stat().st_mtime_ns > since]
    order = {path: (*_written(path), number) for number, path in found}
    broken: list[Path] = []
    for path in sorted(order, key=order.__getitem__, reverse=True):
        if known is not None and order[path] < _written(known):
            break  # a copy, whose files have the times of the copying
        if is_there(path):
            return path, broken
        broken.append(path)
    return known, broken


def find_start(
    note: Path, folder: Path, template: str
) -> tuple[Optional[Path], list[Path]]:
    """Find the checkpoint to go on from.

    The one that the note names, unless that is broken or gone, or a whole one
    was written after it: a kill may have come before the note.

    Args:
        note (Path): The file ``last_checkpoint``.
        folder (Path): Where checkpoints are stored now.
        template (str): Of their names.

    Returns:
        tuple[Path | None, list[Path]]: as of :func:`newest_whole`.
    """
    return newest_whole(folder, template, _named(note, folder))


def _named(note: Path, folder: Path) -> Optional[Path]:
    """The checkpoint that a note names, if it is there."""
    try:
        path = Path(note.read_text(errors='replace').strip())
        # By its place now: the folder may have been moved, or copied.
        for place in (folder / path.name, path) if path.name else ():
            if is_there(place):
                return place
    except OSError:  # no note, or one that can name no file
        pass
    return None


def _written(path: Path) -> tuple[str, int]:
    """When a checkpoint was written, as told by itself and by the system."""
    changed = path.stat().st_mtime_ns
    told = time.localtime(changed / 1e9)
    text = time.strftime('%Y%m%d_%H%M%S', told)  # as MMEngine writes it
    try:
        file = torch.load(
            path, 'cpu', weights_only=True, mmap=zipfile.is_zipfile(path)
        )
        text = str(file['meta']['time'])
    except Exception:  # of zip or torch: broken, or of another tool
        pass
    return text, changed
