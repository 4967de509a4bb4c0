"""What the runs say together."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import torch

from micacl_mm.evaluation import RecallMetric
from micacl_mm.records.record import metric_of, row_of
from micacl_mm.records.rows import COLUMNS
from micacl_mm.records.statistics import interval, pool, replicates
from micacl_mm.utils.files import write_text

_SHARED = ('method', 'dataset', 'config_hash', 'selection', 'pretraining')


def summarise(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the records of one method on one set.

    Args:
        records (Sequence[Mapping[str, Any]]): One a run.

    Returns:
        dict[str, Any]: ready for JSON; all metrics in [0, 1]. ``metrics``
        has mean, std, half_width of the 95 % interval and count for UAR, WAR
        and each recall, ``pooled`` the metrics of all confusion matrices
        added.
    """
    classes = records[0]['classes']
    names = ['UAR', 'WAR', *(f'recall/{name}' for name in classes)]
    matrix = pool([record['confusion_matrix'] for record in records])
    pooled = RecallMetric.summarise(torch.from_numpy(matrix), classes)
    folds = {record['fold'] for record in records}
    return {
        **{name: records[0][name] for name in _SHARED},
        'logit_adjust': records[0].get('logit_adjust'),
        'replicates': 'folds' if len(folds) > 1 else 'seeds',
        'runs': [
            {
                **{k: record[k] for k in ('fold', 'seed', 'epoch')},
                'dropped': record.get('dropped'),
                **{k: metric_of(record, k) for k in ('UAR', 'WAR')},
            }
            for record in records
        ],
        'metrics': {name: _summary(records, name) for name in names},
        'pooled': {k: None if v != v else v for k, v in pooled.items()},
        'pooled_confusion_matrix': matrix.tolist(),
        'classes': classes,
    }


def _summary(
    records: Sequence[Mapping[str, Any]], name: str
) -> Optional[dict[str, Any]]:
    values = [
        (record['fold'], record['seed'], metric_of(record, name))
        for record in records
    ]
    known = [value for value in values if value[-1] is not None]
    # A class may be absent from all test splits of a small set.
    return interval(replicates(known))._asdict() if known else None


def format_summary(summary: Mapping[str, Any]) -> str:
    """Lay out a summary as text, in percent."""
    tau = summary['logit_adjust']
    adjusted = f', logits adjusted by {tau:g}' if tau else ''
    lines = [
        f'{summary["method"]} on {summary["dataset"]}{adjusted}',
        'fold  seed  epoch    UAR     WAR',
    ]
    for run in summary['runs']:
        fold = '-' if run['fold'] is None else run['fold']
        lines.append(
            f'{fold:>4}  {run["seed"]:>4}  {run["epoch"]:>5}  '
            f'{_percent(run["UAR"])}  {_percent(run["WAR"])}'
        )
    count = summary['metrics']['UAR']['count']
    what = '1 run' if count == 1 else f'{count} {summary["replicates"]}'
    width = max(len(name) for name in summary['metrics'])
    lines += [
        '',
        f'{f"over {what}":<{width}}   mean     std   95 % interval   pooled',
    ]
    for name, found in summary['metrics'].items():
        cells = ['     -'] * 3 if found is None else _cells(found)
        lines.append(
            f'{name:<{width}}  {cells[0]}  {cells[1]}  +- {cells[2]}'
            f'       {_percent(summary["pooled"][name])}'
        )
    dropped = sum(run['dropped'] or 0 for run in summary['runs'])
    if dropped:
        lines.append(f'{dropped} clips of the test splits were left out.')
    if summary['replicates'] == 'folds':
        lines.append(
            'The folds share training clips, so the interval is approximate '
            'and rather too narrow.'
        )
    elif count == 1:
        lines.append('One run has no interval; give more --folds or --seeds.')
    return '\n'.join(lines)


def _cells(found: Mapping[str, Any]) -> list[str]:
    return [_percent(found[key]) for key in ('mean', 'std', 'half_width')]


def _percent(value: Optional[float]) -> str:
    return '     -' if value is None else f'{100 * value:6.2f}'


def write_summary(
    summary: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    folder: Path,
    suffix: str = '',
) -> None:
    """Write ``summary.json`` and, one row a run, ``rows.csv``."""
    text = json.dumps(summary, indent=2) + '\n'
    write_text(folder / f'summary{suffix}.json', text)
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(row_of(record) for record in records)
    write_text(folder / f'rows{suffix}.csv', table.getvalue())
