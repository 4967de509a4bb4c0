"""The board as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

# torch needs Jinja2 itself, so it is there wherever this package runs.
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from micacl_mm.records.board import Table, dataset_name, head_to_tail
from micacl_mm.records.entry import Entry
from micacl_mm.records.published import PUBLISHED_SETS
from micacl_mm.records.row_checks import CLASSES

from .markdown import NO_ROWS, PUBLISHED_NOTE, figure, names_of

TEMPLATES = Path(__file__).with_name('template')


def board_html(
    tables: Sequence[Table], published: Sequence[Mapping[str, str]]
) -> str:
    """Lay out the board as a page; every value is escaped.

    Args:
        tables (Sequence[Table]): From :func:`~.board.build_board`.
        published (Sequence[Mapping[str, str]]): From
            :func:`~.published.read_published`.

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
        recalls_of=_recalls_of,
        published_recalls=_published_recalls,
    )


def _recalls_of(entry: Entry) -> dict[str, dict]:
    """What a picture of bars needs, by class."""
    found = {name: entry.metrics[f'recall_{name}'] for name in CLASSES}
    return {
        name: {
            'mean': value and value.mean,
            'half_width': value and value.half_width,
            'text': figure(value),
        }
        for name, value in found.items()
    }


def _published_recalls(
    row: Mapping[str, str], dataset: str
) -> dict[str, dict]:
    """The same of published figures; empty where there are none."""
    found = {name: row[f'{dataset}_recall_{name}'] for name in CLASSES}
    if not any(found.values()):
        return {}
    return {
        name: {
            'mean': float(text) if text else None,
            'half_width': None,
            'text': text or '-',
        }
        for name, text in found.items()
    }
