"""Runs in a folder, sorted by method."""

import datetime
import os
from pathlib import Path
from typing import NamedTuple, Optional

from micacl_mm.leaderboard.config_hash import config_hash
from micacl_mm.leaderboard.config_text import inner_dataset, parse_config
from micacl_mm.leaderboard.record import FILE_NAME

from .result import Result, check_alike, result_of_run
from .run import STAMP, Run


class Method(NamedTuple):
    """Runs that differ in nothing but fold and seed.

    Attributes:
        label (str): Its name in the pictures.
        folder (Path): The folder that holds them all.
        runs (list[Run]): The runs, sorted by folder.
    """

    label: str
    folder: Path
    runs: list[Run]

    def results(self) -> list[Result]:
        """Results of the tested runs.

        Raises:
            FileNotFoundError: None is tested.
            ValueError: They were tested in different ways.
        """
        tested = [run for run in self.runs if run.records]
        found = [run.result() for run in tested or self.runs]
        check_alike(
            found, f'choose tests of {self.label} with --where {{}}=...'
        )
        return found

    def class_counts(self, classes: tuple[str, ...]) -> Optional[list[int]]:
        """Training clips of each class in the first run that tells it."""
        known = (run.class_counts(classes) for run in self.runs)
        return next(filter(None, known), None)


def find_methods(
    folder: Path, where: Optional[dict[str, str]] = None
) -> list[Method]:
    """Find the runs in a folder and sort them by method.

    Args:
        folder (Path): A work directory, a session in it, or a folder that
            contains several, for instance the one of tools/kfold.py.
        where (dict[str, str], optional): Take only tests whose records say
            so, for instance ``{'selection': 'val'}``. Defaults to None.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} is no folder; give the work directory of a training'
        )
    groups = {}
    for run in _find_runs(folder):
        if where:
            kept = tuple(p for p in run.records if _says(p, where))
            run = run._replace(records=kept)
        groups.setdefault(_kind(run), []).append(run)
    if not groups:
        raise FileNotFoundError(
            f'{folder} holds no run (no {FILE_NAME}, no '
            'vis_data/scalars.json); give the work directory of a training'
        )
    return [_method(runs) for runs in groups.values()]


def _find_runs(top: Path) -> list[Run]:
    """A run is where a training wrote, or where results alone were kept."""
    trained = {
        _home(path.parent.parent, top)
        for path in top.rglob('vis_data/scalars.json')
    }
    records = {}
    for path in sorted(top.rglob(FILE_NAME), key=_when):
        # kfold keeps those of each selection rule in a folder of the run.
        near = [p for p in (path.parent, path.parent.parent) if p in trained]
        home = near[0] if near else _home(path.parent, top)
        records.setdefault(home, []).append(path)
    return [
        Run(folder, tuple(records.get(folder, ())))
        for folder in sorted(trained | set(records))
    ]


def _home(folder: Path, top: Path) -> Path:
    """Work directory of a session, but nothing outside of ``top``."""
    inside = STAMP.fullmatch(folder.name) and folder != top
    return folder.parent if inside else folder


def _when(path: Path) -> str:
    """Time of a test, as MMEngine writes it."""
    if STAMP.fullmatch(path.parent.name):
        return path.parent.name
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    return time.strftime('%Y%m%d_%H%M%S')


def _says(path: Path, where: dict[str, str]) -> bool:
    try:
        record = result_of_run(path).record
    except ValueError:
        return False
    found = {name: record.get(name) for name in where}
    return where == {k: '' if v is None else str(v) for k, v in found.items()}


def _kind(run: Run) -> tuple:
    """What runs of one method have in common."""
    config = _config(run)
    if config:
        subset = inner_dataset(config.get('test_dataloader')).get('subset')
        return config_hash(config), subset
    record = _record(run)
    return record.get('config_hash', str(run.folder)), record.get('subset')


def _config(run: Run) -> dict:
    """Config of the first session, empty where there is none to read."""
    try:
        path = run.find('vis_data/config.py')[0]
        return parse_config(path.read_text(encoding='utf-8'))
    except (IndexError, ValueError):
        return {}


def _record(run: Run) -> dict:
    """Record of the newest test, empty where there is none to read."""
    try:
        return run.result().record
    except (OSError, ValueError):
        return {}


def _method(runs: list[Run]) -> Method:
    label = next(filter(None, map(_label, runs)), runs[0].folder.name)
    common = Path(os.path.commonpath([run.folder for run in runs]))
    return Method(label, common, runs)


def _label(run: Run) -> Optional[str]:
    """Name by its record, else by its config."""
    name = _record(run).get('method') or _config(run).get('method')
    stems = [path.stem for path in sorted(run.home.glob('*.py'))]
    return name or next(iter(stems), None)
