"""Checkpoints on the disk: written whole or not at all, and found again."""

import errno
import lzma
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.fileio import LocalBackend, register_backend

from micacl_mm.errors import ConfigError
from micacl_mm.utils.files import replacing

#: Where MMEngine looks up the checkpoint to resume from.
NOTE = 'last_checkpoint'
#: What ``zipfile`` raises for files that are no whole archives.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError, NotImplementedError),
)
#: What a training cannot be resumed without.
_STATE = ('meta', 'optimizer', 'param_schedulers', 'message_hub')


class AtomicBackend(LocalBackend):
    """MMEngine's file backend ``'atomic'``: writes files whole or not at all.

    A kill or a power cut leaves the old file or the new one.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file.

        Args:
            obj (bytes): All of them.
            filepath (str or Path): The file; its folder is made.

        Raises:
            OSError: There is no room. The old file, if any, is still there.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(path) as part:
                part.write_bytes(obj)
        except OSError as error:
            limits = {
                errno.ENOSPC: 'the disk is full',
                errno.EDQUOT: 'your quota is used up',
                errno.EFBIG: 'no file may be so large here (ulimit -f)',
            }
            if error.errno not in limits:
                raise
            raise OSError(
                error.errno,
                f'{path.name} needs {len(obj) / 2**20:.1f} MiB, but '
                f'{limits[error.errno]}; earlier checkpoints are intact. Fix: '
                'make room, then repeat the command with --resume',
                str(path.parent),
            ) from error


register_backend('atomic', AtomicBackend)


def is_whole(path: Path) -> bool:
    """Whether a file of ``torch.save`` is complete, by its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except _ZIP_ERRORS:
        return False


def is_broken(path: Path) -> bool:
    """Whether a file is part of a checkpoint; False for other formats."""
    with open(path, 'rb') as file:
        begin = file.read(2)
    known = b'PK'.startswith(begin) or b'\0\0'.startswith(begin)
    return known and not is_whole(path)


def find_start(
    note: Path, folder: Path, template: str
) -> tuple[Optional[Path], list[Path]]:
    """Find the checkpoint to resume from.

    It is the one that the note names, unless that is broken or absent, or a
    whole one of more steps was written after it: a kill may have come before
    the note was written. Without a note it is the one that was written last,
    as the folder may hold later checkpoints of an older training.

    Args:
        note (Path): The file ``last_checkpoint``.
        folder (Path): Of the checkpoints.
        template (str): Of their names, ``'epoch_{}.pth'``.

    Returns:
        tuple[Path | None, list[Path]]: The checkpoint, and the broken ones
        that were written after it.
    """
    head, tail = map(re.escape, template.split('{}'))
    files = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = re.fullmatch(rf'{head}(\d{{1,15}}){tail}', path.name)
        if match:
            files[path] = (path.stat().st_mtime_ns, int(match[1]))
    named = _named(note, folder)
    if named in files:
        time, step = files[named]
        files = {p: k for p, k in files.items() if k[0] > time and k[1] > step}
    broken: list[Path] = []
    for path in sorted(files, key=files.__getitem__, reverse=True):
        if _is_there(path):
            return path, broken
        broken.append(path)
    return named, broken


def _named(note: Path, folder: Path) -> Optional[Path]:
    """The checkpoint that a note names, if it is whole."""
    try:
        path = Path(note.read_text(errors='replace').strip())
        # By its present place: the folder may have been moved or copied.
        for place in (folder / path.name, path) if path.name else ():
            if _is_there(place):
                return place
    except (OSError, ValueError):  # no note, or no file name in it
        pass
    return None


def _is_there(path: Path) -> bool:
    # Those of DeepSpeed are folders, with checksums of their own.
    return path.is_dir() or (path.is_file() and not is_broken(path))


def check_resumable(path: Path) -> None:
    """Refuse to resume from a file without the state of a training.

    Args:
        path (Path): A local file.

    Raises:
        ConfigError: It is broken, or has weights alone: a ``best_*.pth``, a
            published model or a plain state dict.
    """
    if is_broken(path):
        raise ConfigError(
            f'--resume {path}: the file is cut off or damaged',
            'resume from another checkpoint of the folder',
        )
    try:
        state = torch.load(
            path, 'cpu', weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception:  # the runner loads it next and names the cause
        return
    lacking = [name for name in _STATE if name not in state]
    if lacking:
        raise ConfigError(
            f'--resume {path}: the file has no {", ".join(lacking)}, so '
            'optimizer and schedule would start anew',
            'resume from epoch_N.pth, or start a new training from its '
            'weights with --cfg-options load_from=FILE',
        )
