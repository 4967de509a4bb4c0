"""The folder of a set: its marker, and what appears in it whole."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from micacl_mm.datasets.base import DRAWN_MARKER as MARKER
from micacl_mm.errors import ConfigError
from micacl_mm.utils.files import SCRATCH, publish, scratch_folder

NOTICE = (
    'Drawn faces, made by micacl make-data. No clip of a real '
    'set is in here, and no figure measured on it is a result on real data.'
)
# A run makes something in its scratch folder every few seconds.
_DEAD_AFTER = 600.0


@contextmanager
def claimed(root: Path, settings: dict) -> Iterator[Path]:
    """Take a folder for a set, or find that it holds this very set."""
    found = read_marker(root)
    if found is not None:
        _compare(root, found, settings)
    elif root.exists() and not _is_unused(root):
        why = 'is there and is no synthetic set'
        if (root / MARKER).exists():
            why = f'cannot be continued, since its {MARKER} is damaged'
        raise ConfigError(
            f'make_synthetic: {root} {why}',
            'choose an empty or new folder, or delete it',
        )
    with scratch_folder(root, _DEAD_AFTER) as scratch:
        if found is None:
            marker = {
                'notice': NOTICE,
                'settings': settings,
                'versions': _versions(),
            }
            part = scratch / MARKER
            part.write_text(json.dumps(marker, indent=2) + '\n')
            publish(part, root / MARKER)
        yield scratch


def _versions() -> dict[str, str]:
    return {'numpy': np.__version__, 'cv2': cv2.__version__}


def read_marker(root: Path) -> dict | None:
    """Read the marker of a set."""
    try:
        found = json.loads((root / MARKER).read_text())
    except (
        *(FileNotFoundError, NotADirectoryError),
        *(ValueError, RecursionError),
    ):
        return None
    whole = isinstance(found, dict) and isinstance(found.get('settings'), dict)
    return found if whole else None


def _is_unused(root: Path) -> bool:
    """Whether there is nothing but what a run leaves that stopped at once."""
    return root.is_dir() and all(
        path.name == MARKER or path.name.startswith(SCRATCH)
        for path in root.iterdir()
    )


def _compare(root: Path, found: dict, settings: dict) -> None:
    other = [k for k in settings if found['settings'].get(k) != settings[k]]
    if other:
        raise ConfigError(
            f'make_synthetic: {root} holds a set made with another '
            f'{", ".join(other)}',
            'choose an empty folder, or delete it',
        )
    if found.get('versions') != _versions():
        warnings.warn(
            f'make_synthetic: {root} was begun under {found.get("versions")}, '
            f'here are {_versions()}; clips drawn now may differ by a few '
            'grey levels from what the first run would have drawn',
            stacklevel=2,
        )
