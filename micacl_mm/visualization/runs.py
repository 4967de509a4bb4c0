"""Find the runs below a folder, and what they logged and were tested on."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from micacl_mm.records.record import FILE_NAME, read_record
from micacl_mm.records.rows import (
    COLUMNS,
    ENTRY_KEY,
    classes_of,
    read_matrix,
    read_rows,
)
from micacl_mm.records.training import find_class_counts

#: A session, as MMEngine names its folder.
_STAMP = re.compile(r'\d{8}_\d{6}')
#: How RecallMetric, and MMAction2's AccMetric, call the two.
_METRICS = {'UAR': 'UAR', 'WAR': 'WAR', 'mean1': 'UAR', 'top1': 'WAR'}
#: Columns in which methods side by side must agree.
_SAME_TEST = (
    *('dataset', 'subset', 'fold', 'selection', 'pretraining', 'sampling'),
)
#: What reading a line raises that is no record of the log.
_BROKEN = (
    *(ValueError, RecursionError, TypeError, LookupError),
    AttributeError,
)


class Result(NamedTuple):
    """One test of one checkpoint."""

    classes: tuple[str, ...]  # names of the K classes
    matrix: Tensor  # confusion matrix (K, K) in clips, rows = truth
    record: Mapping[str, Any]  # of the run, or the row of a table


class Scalars(NamedTuple):
    """The history of one training; each series is name -> (x, y)."""

    unit: str  # of every x, 'epoch' or 'iteration'
    losses: dict[str, tuple[list[float], list[float]]]
    metrics: dict[str, tuple[list[float], list[float]]]
    rates: dict[str, tuple[list[float], list[float]]]


@dataclass
class Run:
    """One training, in its work directory, and its tests, the newest last."""

    folder: Path
    results: list[Result] = field(default_factory=list)

    def logs(self, name: str = 'scalars.json') -> list[Path]:
        """Files of that name that its sessions left, the latest last."""
        return sorted(self.folder.glob(f'*/vis_data/{name}'))

    @property
    def method(self) -> str:
        """Name of the method: by its record, else by its config."""
        if self.results and self.results[-1].record.get('method'):
            return self.results[-1].record['method']
        configs = sorted(self.folder.glob('*.py'))
        return configs[0].stem if configs else self.folder.name

    def result(self) -> Result:
        """The newest test."""
        if not self.results:
            raise FileNotFoundError(
                f'no {FILE_NAME} in {self.folder}; test its checkpoint first '
                '(micacl test)'
            )
        return self.results[-1]

    def config(self) -> Path:
        """The config of the last session."""
        found = self.logs('config.py')
        if not found:
            raise FileNotFoundError(f'no vis_data/config.py in {self.folder}')
        return found[-1]

    def checkpoint(self) -> Path:
        """The tested checkpoint, else the best, else the last."""
        home = self.folder
        if self.results:
            tested = Path(self.results[-1].record.get('checkpoint') or '')
            for path in (tested, home / tested.name):
                if path.is_file():
                    return path
        found = [*home.glob('best_*.pth')] or [*home.glob('*.pth')]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
        raise FileNotFoundError(
            f'no checkpoint in {home}; name one with --checkpoint'
        )

    def class_counts(self, num_classes: int) -> Optional[list[int]]:
        """Training clips of each class, as the checkpoint tells them."""
        try:
            path = str(self.checkpoint())
            state = CheckpointLoader.load_checkpoint(path, 'cpu', 'silent')
            counts = find_class_counts(state)
        except Exception:  # absent or damaged: the counts stay unknown
            return None
        return counts if len(counts) == num_classes else None

    def scalars(self) -> Scalars:
        """Join the logs of its sessions; later ones win where they overlap."""
        train: list[dict] = []
        val: list[dict] = []
        for path in self.logs():
            now, checked = _read_session(path)
            if not now:
                continue
            begin = now[0]['step']
            first = now[0].get('epoch', begin)
            train = [r for r in train if r['step'] < begin] + now
            # Validations are logged at the end of an epoch.
            val = [r for r in val if r['x'] < first] + checked
        if not train:
            raise ValueError(
                f'no training iteration is logged in {self.folder}'
            )
        unit = 'epoch' if 'epoch' in train[-1] else 'iteration'
        length = 1.0
        if unit == 'epoch':  # a bit short where its end is not logged
            length = max(r['step'] / r['epoch'] for r in train)
        for record in train:
            record['x'] = record['step'] / length
        keys = {key for record in train for key in record}
        logged = {key.split('/')[-1]: key for r in val for key in r}
        metrics = {v: logged[k] for k, v in _METRICS.items() if k in logged}
        losses = {k: k for k in sorted(keys) if 'loss' in k}
        rates = {k: k for k in sorted(keys) if k.split('.')[-1] == 'lr'}
        return Scalars(
            unit,
            *(_series(train, losses), _series(val, metrics)),
            _series(train, rates),
        )


def _read_session(path: Path) -> tuple[list[dict], list[dict]]:
    train, val = [], []
    for line in path.read_text(encoding='utf-8', errors='replace').split('\n'):
        try:
            record = {
                key.removeprefix('train/').removeprefix('val/'): value
                for key, value in json.loads(line).items()
            }
            step, epoch = record['step'], record.get('epoch', 1)
            known = 0 <= step < 1e15 and 0 < epoch < 1e15
        except _BROKEN:
            continue  # cut off when the process was killed
        if known and 'loss' in record and step > 0:
            train.append(record)
        elif known and train:
            by_epoch = 'epoch' in train[-1]
            record['x'] = step if by_epoch else train[-1]['step']
            val.append(record)
    return train, val


def _series(records: list[dict], keys: Mapping[str, str]) -> dict:
    found = {}
    for name, key in keys.items():
        pairs = [
            (record['x'], record[key])
            for record in records
            if type(record.get(key)) in (int, float)
        ]
        if pairs:
            x, y = zip(*pairs, strict=True)
            found[name] = [*x], [*y]
    return found


def find_runs(
    top: Path, where: Optional[Mapping[str, str]] = None
) -> list[Run]:
    """Find the runs below a folder.

    Args:
        top (Path): A work directory, or a folder with several, such as that
            of ``micacl kfold``.
        where (Mapping[str, str], optional): Take only tests whose records say
            so, for instance ``{'selection': 'val'}``. Defaults to None.

    Raises:
        FileNotFoundError: No such folder, or no run in it.
        ValueError: No test fits ``where``, or a record is damaged.
    """
    if not top.is_dir():
        raise FileNotFoundError(
            f'{top} is not a folder; give the work directory of a training'
        )
    folders = {
        p.parent.parent.parent for p in top.rglob('vis_data/scalars.json')
    }
    runs = {folder: Run(folder) for folder in sorted(folders)}
    tests = sorted(top.rglob(FILE_NAME), key=_when)
    where = dict(where or {})
    for path in tests:
        # kfold keeps the tests of each selection rule in a folder of its own.
        session = _STAMP.fullmatch(path.parent.name)
        alone = path.parents[1 if session else 0]
        home = next((f for f in path.parents[:3] if f in folders), alone)
        result = result_of_run(path)
        if {k: str(result.record.get(k) or '') for k in where} == where:
            runs.setdefault(home, Run(home)).results.append(result)
    if where and tests and not any(run.results for run in runs.values()):
        raise ValueError(
            f'none of the {len(tests)} tests in {top} has {where}'
        )
    if not runs:
        raise FileNotFoundError(
            f'{top} holds no run (no {FILE_NAME}, no vis_data/scalars.json); '
            'give the work directory of a training'
        )
    return [*runs.values()]


def _when(path: Path) -> str:
    """Time of a test, as MMEngine names its folder."""
    if _STAMP.fullmatch(path.parent.name):
        return path.parent.name
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    return time.strftime('%Y%m%d_%H%M%S')


def group_by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs that differ only in fold and seed.

    Tested runs are grouped by the hash of their config and their subset,
    untested ones join the group of their method's name. The label is that
    name, with the folder where two groups have the same.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in sorted(runs, key=lambda run: not run.results):
        key = (run.method, '', '')
        if run.results:
            record = run.results[-1].record
            key = run.method, record.get('config_hash'), record.get('subset')
        else:
            same = [other for other in groups if other[0] == run.method]
            key = same[0] if len(same) == 1 else key
        groups.setdefault(key, []).append(run)
    names = [key[0] for key in groups]
    return {
        name if names.count(name) == 1 else f'{name} in {runs[0].folder}': runs
        for name, runs in zip(names, groups.values(), strict=True)
    }


def result_of_run(path: Path) -> Result:
    """Read a ``result.json``; ValueError where it is no record of a test."""
    record = read_record(path)
    try:
        classes = tuple(record['classes'])
        matrix = torch.tensor(record['confusion_matrix'], dtype=torch.long)
        sound = matrix.shape == (len(classes), len(classes))
    except (KeyError, TypeError, ValueError, RuntimeError):
        sound = False
    if not sound or not all(isinstance(name, str) for name in classes):
        raise ValueError(
            f'{path} is not the record of a test: it must have the names of '
            'the classes and a square confusion_matrix'
        )
    return Result(classes, matrix, record)


def results_of_rows(
    path: Path, method: str, where: Optional[Mapping[str, str]] = None
) -> list[Result]:
    """Take the rows of one method from a table of ``results``.

    Raises:
        ValueError: No such row or column, or rows that are not replicates.
    """
    wanted = {'method': method, **(where or {})}
    unknown = sorted(wanted.keys() - set(COLUMNS))
    if unknown:
        raise ValueError(f'{path} has no column {unknown[0]!r}')
    rows = read_rows(path)
    found = [
        Result(
            classes_of(row.cells['dataset']),
            read_matrix(row.cells['confusion_matrix']),
            row.cells,
        )
        for row in rows
        if wanted.items() <= row.cells.items()
    ]
    if not found:
        methods = sorted({row.cells['method'] for row in rows})
        raise ValueError(
            f'{path} has no row of {wanted}; its methods are '
            f'{", ".join(methods)}'
        )
    check_replicates(found)
    return found


def check_replicates(results: Sequence[Result]) -> None:
    """Refuse to average tests that differ in more than fold and seed."""
    for name in ENTRY_KEY:
        values = _texts(results, name)
        if len(values) > 1:
            raise ValueError(
                f'runs to be averaged must have the same {name}, got '
                f'{", ".join(values)}; select some with --where {name}=...'
            )
    names = ('fold', 'seed', 'commit')
    runs = [tuple(r.record.get(name) for name in names) for r in results]
    if len(set(runs)) < len(runs):
        raise ValueError(
            f'runs to be averaged must differ in {names}, got {runs}'
        )
    _clips_of_folds(results)


def check_comparable(methods: Sequence[Sequence[Result]]) -> None:
    """Refuse to compare methods that were not tested on the same clips."""
    for name in _SAME_TEST:
        found = [_texts(results, name) for results in methods]
        if any(values != found[0] for values in found):
            raise ValueError(
                f'compared methods must have the same {name}, got {found}; '
                f'select tests with --where {name}=...'
            )
    if len({r.classes for results in methods for r in results}) > 1:
        raise ValueError('compared methods must have the same classes')
    clips = [_clips_of_folds(results) for results in methods]
    if any(other != clips[0] for other in clips):
        raise ValueError(
            'compared methods must be tested on the same clips, but their '
            'numbers differ; was one tested with --missing drop?'
        )


def _texts(results: Sequence[Result], name: str) -> list[str]:
    return sorted({str(r.record.get(name) or '') for r in results})


def _clips_of_folds(results: Sequence[Result]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for result in results:
        clips = tuple(result.matrix.sum(dim=1).tolist())
        if found.setdefault(str(result.record.get('fold')), clips) != clips:
            raise ValueError(
                'runs to be averaged must be tested on the same clips of a '
                'fold, but their numbers differ; was one tested with '
                '--missing drop?'
            )
    return found
