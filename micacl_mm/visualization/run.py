"""The folder of one training: what lies where."""

import ast
import re
from pathlib import Path
from typing import NamedTuple, Optional

from mmengine.runner import CheckpointLoader

from micacl_mm.records.record import FILE_NAME

from .result import Result, result_of_run

#: A session, as MMEngine names its folder.
STAMP = re.compile(r'\d{8}_\d{6}')
_COUNTS = re.compile(r'class counts of the training set: (\[[\d, ]+\])')
_NAMED_COUNTS = re.compile(r', train: \d+ clips \((.+?)\)')


class Run(NamedTuple):
    """One training, and what it was tested on.

    Attributes:
        folder (Path): A work directory of MMEngine, or one session in it.
        records (tuple[Path]): The ``result.json`` of its tests, the newest
            one last.
    """

    folder: Path
    records: tuple[Path, ...] = ()

    def find(self, pattern: str) -> list[Path]:
        """Files of all sessions, those of the last session last."""
        sessions = [
            folder
            for folder in sorted(self.folder.iterdir())
            if STAMP.fullmatch(folder.name)
        ]
        return [
            path
            for folder in (self.folder, *sessions)
            for path in sorted(folder.glob(pattern))
        ]

    @property
    def home(self) -> Path:
        """Folder of the checkpoints."""
        inside = STAMP.fullmatch(self.folder.name)
        return self.folder.parent if inside else self.folder

    def result(self) -> Result:
        """Read the newest test.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is no record of a test.
        """
        if not self.records:
            raise FileNotFoundError(
                f'no {FILE_NAME} in {self.folder} yet; run tools/test.py with '
                'its checkpoint'
            )
        return result_of_run(self.records[-1])

    def tested_epoch(self) -> Optional[int]:
        """Epoch of the newest test, if there is one that tells it."""
        try:
            return self.result().record.get('epoch')
        except (OSError, ValueError):
            return None

    def config(self) -> Path:
        """Find the config of the last session.

        Raises:
            FileNotFoundError: There is none.
        """
        found = self.find('vis_data/config.py')
        if not found:
            raise FileNotFoundError(
                f'no vis_data/config.py in {self.folder}; it is written by '
                'tools/train.py'
            )
        return found[-1]

    def checkpoint(self) -> Path:
        """Find the checkpoint that was tested, else the best, else the last.

        Raises:
            FileNotFoundError: There is none.
        """
        try:
            named = self.result().record['checkpoint'] or ''
        except (OSError, ValueError):
            named = ''
        for path in (Path(named), self.home / Path(named).name):
            if path.is_file():
                return path
        for pattern in ('best_*.pth', '*.pth'):
            found = sorted(
                self.home.glob(pattern), key=lambda path: path.stat().st_mtime
            )
            if found:
                return found[-1]
        raise FileNotFoundError(
            f'no checkpoint in {self.home}; name one with --checkpoint'
        )

    def class_counts(self, classes: tuple[str, ...]) -> Optional[list[int]]:
        """Find how many training clips each class has.

        They stand in the log of the training, else in the checkpoint as the
        buffer ``class_counts`` of our losses.

        Args:
            classes (tuple[str]): Names of the K classes.

        Returns:
            list[int] | None: K counts; None where nothing tells them.
        """
        for path in reversed(self.find('*.log')):
            counts = _counts_in_log(path, classes)
            if counts:
                return counts
        try:
            return _counts_in_checkpoint(self.checkpoint(), len(classes))
        except Exception:  # none there or a damaged one, which tells nothing
            return None


def _counts_in_log(
    path: Path, classes: tuple[str, ...]
) -> Optional[list[int]]:
    text = path.read_text(encoding='utf-8', errors='replace')
    listed, named = _COUNTS.search(text), _NAMED_COUNTS.search(text)
    if listed:
        counts = ast.literal_eval(listed.group(1))
        return counts if len(counts) == len(classes) else None
    if named:
        pairs = [part.rsplit(' ', 1) for part in named.group(1).split(', ')]
        counts = {name: int(number) for name, number in pairs}
        return [counts.get(name, 0) for name in classes]
    return None


def _counts_in_checkpoint(path: Path, size: int) -> Optional[list[int]]:
    state = CheckpointLoader.load_checkpoint(
        str(path), map_location='cpu', logger='silent'
    )
    for name, value in state.get('state_dict', {}).items():
        if name.endswith('class_counts') and len(value) == size:
            return value.tolist() if value.any() else None
    return None
