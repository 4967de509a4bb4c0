"""Result rows: reading, checking and writing ``results/*.csv``."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from micacl_mm.utils.files import read_table, write_text

from .row_checks import COLUMNS, METRICS, OPTIONAL, problems

#: Rows that agree in these are replicates of one entry of the board.
ENTRY_KEY = (
    *('dataset', 'subset', 'method', 'selection', 'sampling'),
    *('logit_adjust', 'processes', 'config_hash'),
)
#: No two rows agree in these.
RUN_KEY = (*ENTRY_KEY, 'fold', 'seed')
PUBLISHED = 'published.csv'
#: Behind the method of a run that measured something else than its row.
RERUN = ' (rerun)'
HOW_TO = (
    'rows are written by "python -m tools.dev.board --runs WORK_DIR '
    '--add NAME", results/README.md tells the columns'
)


class ResultRow(NamedTuple):
    """One tested training.

    Args:
        cells (dict[str, str]): Text by column, see
            :data:`~micacl_mm.records.row_checks.COLUMNS`.
        origin (str): Where it stands, for messages: ``file:line`` or the
            path of a ``result.json``.
        group (str): Name of the file without its ending; ``''`` for a run
            that is not committed.
    """

    cells: dict[str, str]
    origin: str = ''
    group: str = ''

    def key(self, columns: Sequence[str] = RUN_KEY) -> tuple[str, ...]:
        """Return the cells of some columns."""
        return tuple(self.cells[name] for name in columns)


def read_rows(path: Path) -> list[ResultRow]:
    """Read and check one file of results.

    Args:
        path (Path): For instance ``results/synthetic.csv``.

    Returns:
        list[ResultRow]: The rows in the order of the file.

    Raises:
        ValueError: One line ``file:line: what is wrong`` for every problem.
    """
    path = Path(path)
    rows = [
        ResultRow(cells, origin, path.stem)
        for origin, cells in read_table(path, COLUMNS, OPTIONAL)
    ]
    wrong = [
        f'{row.origin}: {problem}'
        for row in rows
        for problem in problems(row.cells)
    ]
    if wrong:
        raise ValueError('\n'.join([*wrong, HOW_TO]))
    check_unique(rows)
    return rows


def read_folder(folder: Path) -> list[ResultRow]:
    """Read all rows of ``<folder>/*.csv``, but for the published figures.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: A row is wrong, or stands there twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} is no folder; name the one with the result rows'
        )
    rows, wrong = [], []
    for path in sorted(folder.glob('*.csv')):
        if path.name == PUBLISHED:
            continue
        try:
            rows += read_rows(path)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError('\n'.join(wrong))
    check_unique(rows)
    return rows


def check_unique(rows: Iterable[ResultRow]) -> None:
    """Refuse two rows of one run.

    Raises:
        ValueError: Two rows agree in all of :data:`RUN_KEY`.
    """
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        if row.key() in seen:
            raise ValueError(
                f'{row.origin}: the same run stands at {seen[row.key()]} ('
                f'{", ".join(RUN_KEY)} agree); remove one of them'
            )
        seen[row.key()] = row.origin


def add_rows(
    rows: Sequence[ResultRow], fresh: Sequence[ResultRow]
) -> list[ResultRow]:
    """Return the fresh rows that are not among the rows yet.

    A run that is known is passed over if it measured the same. It never
    replaces a row, so that nobody reruns a training until it is lucky
    without a trace.

    Raises:
        ValueError: A known run measured something else.
    """
    known = {row.key(): row for row in rows}
    new = []
    for row in fresh:
        if row.key() not in known:
            known[row.key()] = row
            new.append(row)
            continue
        other = known[row.key()]
        for name in _differences(other.cells, row.cells):
            raise ValueError(
                f'{row.origin}: the same run stands at {other.origin} with '
                f'another {name} ({other.cells[name]}, now '
                f'{row.cells[name]}); it is not replaced: keep the row, or '
                'remove it and say why in the pull request, or use another '
                'seed'
            )
    return new


def rerun_rows(
    rows: Sequence[ResultRow], fresh: Sequence[ResultRow]
) -> list[ResultRow]:
    """Give entries of which a known run measured something else a new name.

    So that a rerun, on another machine perhaps, can stand beside the
    committed entry.

    Returns:
        list[ResultRow]: The fresh rows, some with :data:`RERUN` behind
        their method.
    """
    known = {row.key(): row for row in rows}
    changed = {
        row.key(ENTRY_KEY)
        for row in fresh
        if row.key() in known
        and _differences(known[row.key()].cells, row.cells)
    }
    return [
        row._replace(
            cells={**row.cells, 'method': row.cells['method'] + RERUN}
        )
        if row.key(ENTRY_KEY) in changed
        else row
        for row in fresh
    ]


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> list:
    """Columns in which two tests of one run found something else."""
    found = [name for name in METRICS if one[name] != other[name]]
    # As counts, for JSON may be written with and without blanks.
    matrices = [row['confusion_matrix'] for row in (one, other)]
    counts = [json.loads(text) for text in matrices if text]
    if len(counts) == 2 and counts[0] != counts[1]:
        found.append('confusion_matrix')
    return found


def format_rows(rows: Iterable[ResultRow]) -> str:
    """Lay out rows as the text of a CSV file.

    Raises:
        ValueError: A row is wrong.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for row in rows:
        for problem in problems(row.cells):
            raise ValueError(f'{row.origin}: {problem}')
        writer.writerow([row.cells[name] for name in COLUMNS])
    return text.getvalue()


def write_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write a file of results, whole or not at all.

    Raises:
        ValueError: A row is wrong; nothing is written.
    """
    write_text(Path(path), format_rows(rows))
