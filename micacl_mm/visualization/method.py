"""Runs in a folder, sorted by method."""

import datetime
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Optional

from micacl_mm.records.config_hash import config_hash
from micacl_mm.records.config_text import inner_dataset, parse_config
from micacl_mm.records.record import FILE_NAME

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
        ValueError: There are tests, but none of them fits ``where``.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} is no folder; give the work directory of a training'
        )
    groups, runs = {}, _find_runs(folder)
    if where:
        runs = _choose_tests(runs, where)
    for run in runs:
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


def _choose_tests(runs: list[Run], where: dict[str, str]) -> list[Run]:
    """Drop the tests that do not say what is wanted."""
    said = {p: _said(p, where) for run in runs for p in run.records}
    if said and where not in said.values():
        wanted = ' '.join(f'{k}={v}' for k, v in where.items())
        there = {
            ' '.join(f'{k}={v}' for k, v in texts.items())
            for texts in said.values()
            if texts
        }
        raise ValueError(
            f'no test fits --where {wanted}; there are: '
            f'{"; ".join(sorted(there)) or "none that can be read"}'
        )
    return [
        run._replace(records=tuple(p for p in run.records if said[p] == where))
        for run in runs
    ]


def _said(path: Path, names: Iterable[str]) -> dict[str, str]:
    """What a record says of some columns, as text; empty if unreadable.

    Raises:
        ValueError: Records have no such column.
    """
    try:
        record = result_of_run(path).record
    except ValueError:
        return {}
    for name in names:
        if name not in record:
            raise ValueError(
                f'--where: {path} has no {name!r}; it has '
                f'{", ".join(sorted(record))}'
            )
    return {
        name: '' if record[name] is None else str(record[name])
        for name in names
    }


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
