"""The record of a run, and the row that it becomes in a table."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Union

from micacl_mm.utils.files import write_text

from .row_checks import COLUMNS, METRICS

#: Raised when keys change their meaning.
SCHEMA = 1
FILE_NAME = 'result.json'


def write_record(record: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(Path(path), json.dumps(record, indent=2) + '\n')


def read_record(path: Union[str, Path]) -> dict[str, Any]:
    """Read a record.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no record of this schema.
    """
    try:
        record = json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'read_record: {path} must be JSON, got {error}; do test the '
            'checkpoint again'
        ) from None
    schema = record.get('schema') if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(
            f'read_record: {path} must be a record of schema {SCHEMA}, got '
            f'{schema}; do test the checkpoint again'
        )
    return record


def metric_of(record: Mapping[str, Any], name: str) -> Union[float, None]:
    """Return a metric in [0, 1], None where it is unknown.

    Args:
        record (Mapping[str, Any]): Of a run.
        name (str): ``'UAR'``, ``'WAR'`` or ``'recall/<class>'``, without the
            prefix that the metric's class puts in front (``'acc/'``).
    """
    for key, value in record['metrics'].items():
        if key == name or key.endswith(f'/{name}'):
            return value
    return None


def row_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Lay out a record as a row of a table.

    Args:
        record (Mapping[str, Any]): Of a run.

    Returns:
        dict[str, str]: by :data:`~micacl_mm.records.row_checks.COLUMNS`;
        percentages with two decimals, the unknown empty, and no path of the
        machine.
    """
    row = {name: _text(record.get(name)) for name in COLUMNS}
    for column in METRICS:
        value = metric_of(record, column.replace('_', '/', 1))
        row[column] = '' if value is None else f'{100 * value:.2f}'
    parameters = record.get('parameters')
    for column, value, digits in (
        ('parameters_m', parameters and parameters / 1e6, 2),
        ('gflops', record.get('gflops'), 2),
        ('bags_per_second', record.get('bags_per_second'), 1),
    ):
        row[column] = '' if value is None else f'{value:.{digits}f}'
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
    start = len(parts) - 1 - parts[::-1].index('configs')
    inside = start and parts[start - 1] == 'micacl_mm'
    return '/'.join(parts[start - 1 if inside else start :])
