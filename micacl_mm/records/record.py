"""The record of a test, and the row that it becomes in a table."""

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, Optional, Union

import torch
from mmengine.config import Config

from micacl_mm.errors import DataError, MissingFileError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.utils.datasets import unwrap
from micacl_mm.utils.files import write_text
from micacl_mm.version import __version__

from .config_hash import inner_dataset
from .machine import NO_COMMIT, command_line, describe_machine, git_commit
from .protocol import count_dropped, dataset_id, frames_of, sampling_in_words
from .rows import COLUMNS, METRICS, ResultRow, classes_of, problems
from .training import Training, method_of

#: Raised when keys change their meaning.
SCHEMA = 1
FILE_NAME = 'result.json'
#: What reading a file as a record raises where it is none.
_BROKEN = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, OverflowError),
)


def collect_record(
    config: Config,
    dataset: Any,
    training: Training,
    checkpoint: Optional[str],
    classes: list[str],
    matrix: torch.Tensor,
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Collect all that is known of a test, see docs/evaluation.md."""
    dataset, clips = unwrap(dataset), matrix.sum(dim=1)
    pipeline = inner_dataset(config.get('test_dataloader')).get('pipeline', [])
    scores = RecallMetric.per_class(matrix)
    selection = training.selection(checkpoint)
    if training.mismatch(dataset):
        selection = 'other'
    commits = [
        *training.commits,
        git_commit(config=config.filename) or NO_COMMIT,
    ]
    return {
        'schema': SCHEMA,
        'method': training.method or method_of(config),
        'dataset': dataset_id(dataset),
        'frames': frames_of(dataset),
        'config': config.filename,
        'config_hash': training.config_hash,
        'version': __version__,
        'commit': ', '.join(dict.fromkeys(commits)),
        'command': command_line(),
        'seed': training.seed,
        'processes': training.processes,
        'fold': getattr(dataset, 'fold', None),
        'subset': getattr(dataset, 'subset', None),
        'copy': getattr(dataset, 'copy', None) or None,
        'selection': selection,
        'epoch': training.epoch,
        'max_epochs': training.max_epochs,
        'val_ratio': training.val_ratio,
        'sampling': sampling_in_words(pipeline),
        'logit_adjust': None,
        'pretraining': training.pretraining,
        'checkpoint': checkpoint,
        'clips': int(clips.sum()),
        'dropped': count_dropped(dataset, int(clips.sum())),
        'classes': classes,
        'clips_per_class': clips.tolist(),
        'metrics': dict(zip(metrics, _known(metrics.values()), strict=True)),
        'precision': _known(scores.precision.tolist()),
        'F1': _known(scores.f1.tolist()),
        'confusion_matrix': matrix.tolist(),
        'machine': describe_machine(),
        'date': datetime.date.today().isoformat(),
    }


def _known(values: Iterable[float]) -> list[Optional[float]]:
    """None for nan, which JSON has not."""
    return [None if value != value else value for value in values]


def write_record(record: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(Path(path), json.dumps(record, indent=2) + '\n')


def read_record(path: Union[str, Path]) -> dict[str, Any]:
    """Read a record.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It holds no record of this schema.
    """
    try:
        record = json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{path} is not a record in JSON, {error}',
            'test the checkpoint again',
        ) from None
    schema = record.get('schema') if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f'{path} must be a record of schema {SCHEMA}, got {schema}',
            'test the checkpoint again',
        )
    return record


def read_runs(folders: Iterable[Path]) -> list[ResultRow]:
    """Read every ``result.json`` below some folders as a row.

    Raises:
        MissingFileError: A folder is absent or holds no result.
        DataError: A record is none, is of other classes, or makes no good
            row; one line ``file: what is wrong`` for every problem.
    """
    paths: list[Path] = []
    for folder in folders:
        found = sorted(Path(folder).rglob(FILE_NAME))
        if not found:
            raise MissingFileError(
                f'there is no {FILE_NAME} below {folder}',
                'test a checkpoint with micacl test or micacl kfold first',
            )
        paths += found
    rows, wrong = [], []
    for path in dict.fromkeys(paths):
        try:
            record = read_record(path)
            classes = classes_of(record['dataset'])
            if tuple(record['classes']) != classes:
                raise DataError(
                    f'its classes must be {", ".join(classes)} in this order'
                )
            row = row_of(record)
            wrong += [f'{path}: {problem}' for problem in problems(row)]
            rows.append(ResultRow(row, str(path)))
        except _BROKEN as error:
            wrong.append(f'{path}: is not a record of a run: {error}')
    if wrong:
        raise DataError('\n'.join(wrong), 'name folders without these files')
    return rows


def metric_of(record: Mapping[str, Any], name: str) -> Optional[float]:
    """Return a metric in [0, 1], None where it is unknown.

    It is ``'UAR'``, ``'WAR'`` or ``'recall/<class>'``; the record may have it
    with a prefix (``'acc/'``).
    """
    for key, value in record['metrics'].items():
        if key == name or key.endswith(f'/{name}'):
            return value
    return None


def row_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Lay out a record as a row of a table.

    Percentages with two decimals, the unknown empty, and no path of the
    machine.
    """
    row = {name: _text(record.get(name)) for name in COLUMNS}
    for column in METRICS:
        value = metric_of(record, column.replace('_', '/', 1))
        row[column] = '' if value is None else f'{100 * value:.2f}'
    if parameters := record.get('parameters'):
        row['parameters_m'] = f'{parameters / 1e6:.2f}'
    row['config'] = public_path(record.get('config') or '')
    row['confusion_matrix'] = json.dumps(
        record['confusion_matrix'], separators=(',', ':')
    )
    return row


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:g}'
    return '' if value is None else str(value)


def public_path(path: str) -> str:
    """The part that is the same on all machines."""
    parts = PurePath(path).parts
    if 'configs' not in parts:
        return parts[-1] if parts else ''
    return '/'.join(parts[len(parts) - 1 - parts[::-1].index('configs') :])
