"""The checkpoints in a work directory, as a kill may have left them."""

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

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
    return begin in (b'', b'PK', b'\0\0') and not is_whole(path)


def checkpoints(folder: Path, template: str) -> Iterator[tuple[int, Path]]:
    """List the checkpoints of a run, newest first.

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
    folder: Path, template: str
) -> tuple[Optional[Path], list[Path]]:
    """Find the checkpoint to go on from.

    Args:
        folder (Path): Where they lie.
        template (str): Of their names.

    Returns:
        tuple[Path | None, list[Path]]: the newest whole one, and the broken
        ones that are newer.
    """
    broken: list[Path] = []
    for _, path in checkpoints(folder, template):
        # Those of DeepSpeed are folders, which hold checksums of their own.
        if path.is_dir() or is_whole(path):
            return path, broken
        broken.append(path)
    return None, broken
