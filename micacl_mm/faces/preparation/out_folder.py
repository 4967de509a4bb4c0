"""The folder of the crops: its settings, and what is unfinished in it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from micacl_mm.utils.files import write_text

FAILURES = 'failures.csv'
MARKER = 'crop_faces.json'
# Hidden, so that no loader takes what lies in it for a clip.
_SCRATCH = '.unfinished'
# Nothing in it is touched while a long video is searched for faces.
_DEAD_AFTER = 24 * 3600.0


@contextmanager
def claimed(root: Path, settings: dict) -> Iterator[Path]:
    """Take a folder for crops, or find that it holds such crops.

    Args:
        root (Path): New or empty folder, or one with equal settings.
        settings (dict): What the crops must share.

    Yields:
        Path: A scratch folder of this run alone, removed at the end.

    Raises:
        ValueError: If the folder holds anything else.
    """
    check(root, settings)
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / MARKER, json.dumps(settings, indent=2) + '\n')
    for path in root.glob(f'{_SCRATCH}*'):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _DEAD_AFTER:
                shutil.rmtree(path, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f'{_SCRATCH}-', dir=root))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check(root: Path, settings: dict) -> None:
    """Refuse a folder that holds anything but crops of equal settings.

    Args:
        root (Path): The folder.
        settings (dict): What the crops must share.

    Raises:
        ValueError: With what to do.
    """
    try:
        found = json.loads((root / MARKER).read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except (ValueError, RecursionError):
        found = {}
    if found is None:
        if root.exists() and not (root.is_dir() and _is_unused(root)):
            raise ValueError(
                f'crop_faces: {root} is there and holds no crops of this '
                'tool; choose an empty or new folder'
            )
    elif found != settings:
        other = [
            name
            for name in settings
            if not isinstance(found, dict) or found.get(name) != settings[name]
        ]
        raise ValueError(
            f'crop_faces: {root} holds crops made with another '
            f'{", ".join(other) or "version of this tool"}; choose an empty '
            f'folder, or the settings of its {MARKER}'
        )


def _is_unused(root: Path) -> bool:
    """Whether there is nothing but what a run leaves that stopped at once."""
    return all(path.name.startswith('.') for path in root.iterdir())


def write_failures(root: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Write path and reason of each failed clip, whole or not at all."""
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['path', 'reason'])
    writer.writerows(sorted(failures))
    write_text(root / FAILURES, text.getvalue())
