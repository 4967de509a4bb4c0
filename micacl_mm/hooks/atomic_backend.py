"""Files that stand on the disk whole or not at all."""

import errno
import os
import shutil
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

from micacl_mm.utils.files import replacing

#: The disk, a quota, or a limit on the size of files.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class AtomicBackend(LocalBackend):
    """Writes a file beside its place, and moves it there when it is whole.

    Registered in MMEngine as ``'atomic'``. A kill or a power cut leaves the
    old file or the new one, and a file ``.NAME.PID.part``, which
    :func:`remove_parts` removes.

    Example:
        >>> get_file_backend(backend_args=dict(backend='atomic'))
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
        if shutil.disk_usage(path.parent).free < len(obj):
            raise self._full(path, len(obj), errno.ENOSPC)
        try:
            with replacing(path) as part:
                self._write(part, obj)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise self._full(path, len(obj), error.errno) from error
        _sync_folder(path.parent)

    @staticmethod
    def _write(path: Path, obj: bytes) -> None:
        with open(path, 'wb') as file:
            file.write(obj)

    @staticmethod
    def _full(path: Path, size: int, number: int) -> OSError:
        free = shutil.disk_usage(path.parent).free
        limits = {
            errno.ENOSPC: f'the disk has {free / 2**20:.1f} MiB left',
            errno.EDQUOT: 'your quota is used up',
            errno.EFBIG: 'no file may be so large here (ulimit -f)',
        }
        return OSError(
            number,
            f'AtomicBackend: {path.name} needs {size / 2**20:.1f} MiB, but '
            f'{limits[number]}; the checkpoints from before are whole and '
            'still there: make room, then call the same command with --resume',
            str(path.parent),
        )


def remove_parts(folder: Path) -> list[str]:
    """Remove what a kill left of files that were being written.

    Args:
        folder (Path): Of a run that does not go on at this moment.

    Returns:
        list[str]: their names.
    """
    parts = sorted(folder.glob('.*.part')) if folder.is_dir() else []
    for part in parts:
        part.unlink(missing_ok=True)
    return [part.name for part in parts]


def _sync_folder(folder: Path) -> None:
    """Make the new name outlast a power cut."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # not every system opens folders
    try:
        os.fsync(number)
    except OSError:
        pass  # nor every file system syncs them
    finally:
        os.close(number)


register_backend('atomic', AtomicBackend)
