"""The report of a run: JSON, and tables made of it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

import torch

from micacl_mm.records.machine import (
    NO_COMMIT,
    command_line,
    count_cores,
    describe_machine,
    git_commit,
)
from micacl_mm.utils.files import write_text
from micacl_mm.version import __version__
from tools.dev.board.markdown import escape, grid

from . import memory
from .figure import Figure
from .options import Options

SCHEMA = 1
_VERSIONS = ('torch', 'mmengine', 'mmaction2', 'pytorch-metric-learning')
HEADER = ('what', 'ours', 'compared with', 'ratio', 'bar', 'met', 'note')
_ALIGN = 'lrrrrll'


def describe(options: Options) -> dict[str, Any]:
    """What a run ran on, and how."""
    text = describe_machine()
    machine = dict(
        text=text,
        kind=text.rpartition(', torch')[0],
        cores=count_cores(),
        threads=torch.get_num_threads(),
    )
    versions = {'micacl_mm': __version__}
    for name in _VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(
        schema=SCHEMA,
        machine=machine,
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        commit=git_commit() or NO_COMMIT,
        command=command_line(),
        versions=versions,
        quick=options.quick,
        device=options.device,
        memory=memory.method(options.device),
        parts={},
    )


def read_report(path: Path) -> dict[str, Any]:
    """Read the JSON of a run.

    Raises:
        ValueError: It is none.
        OSError: It cannot be read.
    """
    try:
        report = json.loads(path.read_text(encoding='utf-8'))
        known = report['schema'] == SCHEMA and {'machine', 'parts'} <= {
            *report
        }
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f'{path}: must be the JSON of tools/dev/benchmark, of schema '
            f'{SCHEMA}; make it anew with --out'
        )
    return report


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write the JSON of a run."""
    write_text(path, json.dumps(report, indent=1, ensure_ascii=False) + '\n')


def figures_of(report: Mapping[str, Any], part: str) -> list[Figure]:
    """The figures of one part; none where it was not measured."""
    found = report['parts'].get(part, {}).get('figures', [])
    return [Figure.from_dict(data) for data in found]


def show_value(value: Optional[float], unit: str) -> str:
    """``'12.3 ms'``, ``'45.6 MB'``, ``'3.2 a second'``."""
    if value is None:
        return ''
    if unit == 's':
        if value >= 1:
            return f'{value:.2f} s'
        return f'{1000 * value:.3g} ms'
    if unit == 'bytes':
        return f'{value / 1e6:,.1f} MB'
    return f'{value:.3g} {unit}'


def show_ratio(figure: Figure) -> str:
    """``'0.42 (0.41 to 0.44)'``."""
    if figure.ratio is None:
        return ''
    text = f'{figure.ratio:.3g}'
    if figure.spread is not None and (figure.rounds or 2) > 1:
        text += ' ({:.3g} to {:.3g})'.format(*figure.spread)
    return text


def rows_of(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Cells of a table, under :data:`HEADER`."""
    rows = []
    for f in figures:
        other = ', '.join(filter(None, [show_value(f.other, f.unit), f.than]))
        bar = '' if f.bar is None else f'{f.bar:g}'
        met = {None: '', True: 'yes', False: 'no'}[f.met]
        ours = show_value(f.ours, f.unit)
        row = f.name, ours, other, show_ratio(f), bar, met, f.note
        rows.append(row)
    return rows


def table_markdown(report: Mapping[str, Any], part: str) -> str:
    """One part as a Markdown table."""
    rows = [
        [escape(cell) for cell in row]
        for row in rows_of(figures_of(report, part))
    ]
    return grid(HEADER, _ALIGN, rows)


def table_text(report: Mapping[str, Any], part: str) -> str:
    """One part as a table for the terminal."""
    rows = [HEADER, *rows_of(figures_of(report, part))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if side == 'r' else cell.ljust(width)
            for cell, width, side in zip(row, widths, _ALIGN, strict=True)
        ]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)


def headline(report: Mapping[str, Any]) -> str:
    """Machine, date, commit and versions in one line."""
    versions = ', '.join(f'{k} {v}' for k, v in report['versions'].items())
    quick = ', --quick: no measurement' if report['quick'] else ''
    return (
        f'{report["machine"]["text"]}; {report["date"][:10]}, commit '
        f'{report["commit"]}; {versions}{quick}'
    )


def all_tables(report: Mapping[str, Any], markdown: bool = False) -> str:
    """Every part that was measured."""
    make = table_markdown if markdown else table_text
    mark = '## ' if markdown else ''
    parts = [
        f'{mark}{part["title"]}\n\n{make(report, name)}'
        for name, part in report['parts'].items()
    ]
    return '\n\n'.join([headline(report), *parts])
