"""The board as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

# torch needs Jinja2 itself, so it is there wherever this package runs.
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from micacl_mm.records.board import (
    Entry,
    Table,
    dataset_name,
    figure,
    head_to_tail,
    names_of,
)
from micacl_mm.records.rows import CLASSES, PUBLISHED_SETS
from micacl_mm.records.statistics import Interval

from .markdown import NO_ROWS, PUBLISHED_NOTE

TEMPLATES = Path(__file__).with_name('template')


def board_html(
    tables: Sequence[Table], published: Sequence[Mapping[str, str]]
) -> str:
    """Lay out the board as a page; every value is escaped.

    Args:
        tables (Sequence[Table]): From :func:`build_board`.
        published (Sequence[Mapping[str, str]]): From
            :func:`read_published`.

    Returns:
        str: The page, with its style, script and pictures.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    entries = [entry for table in tables for entry in table.entries]
    known = [entry.text('pretraining') for entry in entries]
    known += [row['pretraining'] for row in published]
    datasets = [table.dataset for table in tables]
    datasets += PUBLISHED_SETS if published else []
    return environment.get_template('board.html').render(
        tables=tables,
        published=published,
        datasets={name: dataset_name(name) for name in datasets},
        published_sets=PUBLISHED_SETS,
        published_orders={n: head_to_tail(n) for n in PUBLISHED_SETS},
        published_note=PUBLISHED_NOTE,
        no_rows=NO_ROWS,
        pretrainings=sorted({name for name in known if name}),
        figure=figure,
        names_of=names_of,
        recalls_of=_recalls,
        published_recalls=_published_recalls,
    )


def _recalls(entry: Entry) -> dict[str, Optional[Interval]]:
    return {name: entry.metrics[f'recall_{name}'] for name in CLASSES}


def _published_recalls(
    row: Mapping[str, str], dataset: str
) -> dict[str, Optional[Interval]]:
    """Recalls by class; empty where none is published."""
    texts = {name: row[f'{dataset}_recall_{name}'] for name in CLASSES}
    return any(texts.values()) and {
        name: Interval(float(text), None, None, 1) if text else None
        for name, text in texts.items()
    }
