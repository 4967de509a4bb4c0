"""Checkpoints of a run that may have been killed at any moment."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import torch

from micacl_mm.hooks.checkpoint_files import (
    NOTE,
    find_start,
    is_broken,
    is_whole,
)
from micacl_mm.utils.files import write_text


def mend(folder: Path, log: Path, safe: bool = False) -> None:
    """Make what a killed training left fit to be resumed.

    A kill while a checkpoint is written leaves half of it, or a note that
    names another one: broken ones are removed, and the newest whole one is
    taken. The rest is done by
    :class:`~micacl_mm.hooks.SafeCheckpointHook`.

    MMEngine's hook does not. A kill while an epoch is validated would leave
    it without a validation for good: the epoch is trained again. Where the
    best checkpoint so far is lost, no later one can be told to be better: the
    training starts anew.

    Args:
        folder (Path): Of the training.
        log (Path): Where to say what was done.
        safe (bool): Whether the training has a ``SafeCheckpointHook``.
            Defaults to False.
    """
    if safe:
        start, gone = _remove_broken(folder)
        reason = 'not whole'
    else:
        start, gone = _step_back(folder)
        reason = 'not whole, or not known to be validated'
    note = folder / NOTE
    if start is None:
        note.unlink(missing_ok=True)
    else:
        # By its place now: the folder may have been moved.
        write_text(note, str(start))
    if gone:
        names = ', '.join(path.name for path in gone)
        place = start.name if start else 'the start'
        with log.open('a') as stream:
            stream.write(
                f'{time.ctime()}: the training was killed; removed {names} '
                f'({reason}), going on from {place}\n'
            )


def _remove_broken(folder: Path) -> tuple[Optional[Path], list[Path]]:
    """Remove broken files; the checkpoint to go on from, and what is gone."""
    gone = [path for path in folder.glob('*.pth') if is_broken(path)]
    for path in gone:
        path.unlink()
    unit = 'iter' if any(folder.glob('iter_*.pth')) else 'epoch'
    start, _ = find_start(folder / NOTE, folder, f'{unit}_{{}}.pth')
    return start, gone


def _step_back(folder: Path) -> tuple[Optional[Path], list[Path]]:
    """Remove also what MMEngine's hook would go on from with a loss."""
    files = list(folder.glob('*.pth'))
    whole = [path for path in files if is_whole(path)]
    start = _start(
        whole,
        best_broken=any(
            path.name.startswith('best_')
            for path in files
            if path not in whole
        ),
    )
    kept = [p for p in whole if start and _number(p) <= _number(start)]
    gone = [path for path in files if path not in kept]
    for path in gone:
        path.unlink()
    return start, gone


def count_done(folder: Path) -> int:
    """Epochs, or iterations, of the checkpoint to resume from, if any."""
    try:
        return _number(Path((folder / NOTE).read_text().strip()))
    except (OSError, ValueError):  # absent, or half written
        return 0


def choose(folder: Path, selection: str) -> Optional[Path]:
    """Return the checkpoint to test.

    Args:
        folder (Path): Of a finished training.
        selection (str): ``'last'``, or ``'val'`` or ``'test'`` for the best.

    Returns:
        Path | None: None if there is none.
    """
    files = [path for path in folder.glob('*.pth') if is_whole(path)]
    if selection == 'last':
        return _newest(files)
    best = [path for path in files if path.name.startswith('best_')]
    return max(best, key=lambda path: path.stat().st_mtime, default=None)


def _start(whole: list[Path], best_broken: bool) -> Optional[Path]:
    """The checkpoint from which no step of the training gets lost."""
    newest = _newest(whole)
    if newest is None or best_broken:
        return None
    state = torch.load(newest, 'cpu', weights_only=True, mmap=True)
    told = state.get('message_hub', {}).get('runtime_info', {})
    best = Path(told.get('best_ckpt') or '')
    if best.name and newest.with_name(best.name) not in whole:
        return None
    if best.stem.endswith(newest.stem):
        return newest  # stored again after its validation
    before = newest.with_name(f'epoch_{_number(newest) - 1}.pth')
    if before in whole:
        return before
    # Of several epochs at once no more than one is given up.
    return newest if _number(newest) > 1 else None


def _newest(files: Iterable[Path]) -> Optional[Path]:
    """The checkpoint after the most epochs, or iterations."""
    return max(filter(_number, files), key=_number, default=None)


def _number(path: Path) -> int:
    """Epoch, or iteration, of a checkpoint; 0 for the best ones."""
    found = re.fullmatch(r'(?:epoch|iter)_(\d{1,15})\.pth', path.name)
    return int(found[1]) if found else 0
