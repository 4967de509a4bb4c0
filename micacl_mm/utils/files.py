"""CSV files in, whole files out."""

import csv
import io
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

from micacl_mm.errors import ConfigError, DataError

#: Hidden, so that no loader takes what lies in it for a clip.
SCRATCH = '.unfinished'
#: In the root of a set that we drew.
DRAWN_MARKER = 'synthetic.json'


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, dict[str, str]]]:
    """Read a CSV file that must have these columns, but for optional ones.

    Each row comes with its ``file:line``.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
        reader = csv.DictReader(io.StringIO(text, newline=''), strict=True)
        header = list(reader.fieldnames or [])
        rows, first = [], reader.line_num + 1
        for cells in reader:
            rows.append((f'{path}:{first}', cells))
            first = reader.line_num + 1
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f'{path}: must be a table as UTF-8 text, {error}',
            'save it as CSV in UTF-8 with commas and quotes',
        ) from None
    wanted = [c for c in columns if c in header or c not in optional]
    if header != wanted:
        odd = sorted({*header} ^ {*wanted}) or ['their order']
        raise DataError(
            f'{path}:1: the columns must be those of results/README.md in '
            f'their order, unlike: {", ".join(odd)}',
            f'write the header {",".join(columns)}',
        )
    wrong = [
        f'{origin}: must have {len(header)} cells'
        for origin, cells in rows
        if None in cells or None in cells.values()
    ]
    if wrong:
        raise DataError('\n'.join(wrong), 'quote cells that hold commas')
    blank = dict.fromkeys(columns, '')
    return [(origin, blank | cells) for origin, cells in rows]


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole or not at all; its folder is made."""
    with replacing(path) as part:
        part.write_text(text, encoding='utf-8', newline='\n')


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, that replaces a file unless there is an error.

    The folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f'{os.getpid()}-{threading.get_ident()}'
    part = path.with_name(f'.{path.name}.{own}.part')
    try:
        yield part
        with open(part, 'rb+') as stream:
            os.fsync(stream.fileno())  # else a power cut may leave it empty
        os.replace(part, path)
        with suppress(OSError):  # not every system can
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(root: Path, dead_after: float) -> Iterator[Path]:
    """Make a folder for unfinished work of this run, removed at the end.

    One of another run in which nothing has happened for ``dead_after``
    seconds is taken for a killed one's, and removed.
    """
    root.mkdir(parents=True, exist_ok=True)
    for path in root.glob(f'{SCRATCH}*'):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > dead_after:
                shutil.rmtree(path, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f'{SCRATCH}-', dir=root))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_marker(path: Path) -> Optional[dict]:
    """Read the marker of a folder; None if there is no sound one."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get('settings'), dict)
    return found if whole else None


def check_folder(
    owner: str, root: Path, marker: str, settings: dict
) -> Optional[dict]:
    """Check that a folder is unused (None), or read the marker in it.

    It must have been made with equal settings.
    """
    found = read_marker(root / marker)
    if found is None:
        # A run that stopped at once leaves the marker and hidden files.
        left = root.iterdir() if root.is_dir() else []
        others = [p for p in left if p.name[0] != '.' and p.name != marker]
        if others or root.is_file():
            raise ConfigError(
                f'{owner}: {root} is not empty and has no sound {marker}',
                'choose an empty or new folder',
            )
        return None
    other = [k for k in settings if found['settings'].get(k) != settings[k]]
    if other:
        raise ConfigError(
            f'{owner}: {root} was made with another {", ".join(other)}',
            f'choose an empty folder, or the settings of its {marker}',
        )
    return found


def publish(part: Path, target: Path) -> None:
    """Move a finished file or folder of a scratch folder to its place.

    A folder that another run has put there meanwhile stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(part, target)
    except OSError:
        if not target.is_dir():
            raise
