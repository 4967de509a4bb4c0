"""List tested runs beside committed and published figures, or add them.

  micacl leaderboard WORK_DIR ...              the table, in the terminal
  micacl leaderboard WORK_DIR ... --add NAME   append rows to RESULTS/NAME.csv

Takes every result.json below the folders. A run with other figures than its
committed row is not added: rows are never replaced.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from micacl_mm.records.board import Table, build_board, figure, names_of
from micacl_mm.records.record import read_runs
from micacl_mm.records.rows import (
    PUBLISHED,
    PUBLISHED_SETS,
    add_rows,
    read_folder,
    read_published,
    write_rows,
)

from . import make_parser


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser('leaderboard', __doc__)
    parser.add_argument('folders', nargs='*', type=Path, metavar='WORK_DIR')
    parser.add_argument(
        '--results',
        type=Path,
        default=Path('results'),
        help='folder of the committed rows (default: results, if it is there)',
    )
    parser.add_argument(
        '--add', metavar='NAME', help='append the rows to NAME.csv'
    )
    arguments = parser.parse_args(argv)
    if not (arguments.folders or arguments.results.is_dir()):
        parser.error('name the work folders of tested runs')
    if arguments.add is not None:
        name = arguments.add = arguments.add.removesuffix('.csv')
        if not arguments.folders:
            parser.error('--add needs a WORK_DIR')
        if not re.fullmatch(r'[\w-]+', name) or f'{name}.csv' == PUBLISHED:
            parser.error(f'--add must be a name such as dfew, got {name!r}')
    return arguments


def main(argv: Sequence[str]) -> int:
    """List or add runs; the exit code."""
    arguments = parse_arguments(argv)
    folder = arguments.results
    committed = read_folder(folder) if folder.is_dir() else []
    fresh = read_runs(arguments.folders)
    if arguments.add is not None:
        return _add(committed, fresh, folder / f'{arguments.add}.csv')
    rows = [*committed, *add_rows([], fresh)]
    path = folder / PUBLISHED
    published = read_published(path) if path.is_file() else []
    if arguments.folders:  # only what they are compared with
        names = {row.cells['dataset'] for row in fresh}
        rows = [row for row in rows if row.cells['dataset'] in names]
    else:
        names = PUBLISHED_SETS
    console = Console()
    for table in build_board(rows):
        console.print(_grid(table))
    for name in PUBLISHED_SETS:
        if published and name in names:
            console.print(_published(name, published))
    console.print(
        'Mean ± half width of the 95 % interval over folds or seeds. * not '
        'significantly below the best of its kind (selection, pretraining, '
        'sampling, length).'
    )
    return 0


def _add(committed: list, fresh: list, path: Path) -> int:
    new = add_rows(committed, fresh)
    old = [row for row in committed if row.group == path.stem]
    if new:
        write_rows(path, [*old, *new])
    print(f'{path}: {len(new)} rows added, {len(fresh) - len(new)} known')
    return 0


def _grid(table: Table) -> Grid:
    head, tail = table.order[0], table.order[-1]
    grid = Grid(title=table.title, title_justify='left')
    grid.add_column('Method')
    for name in ('UAR', 'WAR', 'F1', head, tail):
        grid.add_column(name, justify='right')
    for name in ('Selection', 'Runs'):
        grid.add_column(name)
    columns = ('UAR', 'WAR', 'F1', f'recall_{head}', f'recall_{tail}')
    names = names_of(table.entries)
    for name, entry in zip(names, table.entries, strict=True):
        figures = [figure(entry.metrics[column]) for column in columns]
        figures[0] += ' *' if entry.best else ''
        cells = [name, *figures, entry.rule, entry.runs]
        grid.add_row(*map(Text, cells))  # Text: no markup of a row
    return grid


def _published(dataset: str, published: Sequence[dict[str, str]]) -> Grid:
    title = f'{PUBLISHED_SETS[dataset]}: published, not rerun'
    grid = Grid(title=title, title_justify='left')
    for name in ('Method', 'Year', 'Pretraining', 'UAR', 'WAR'):
        grid.add_column(name)
    for row in published:
        figures = [row[f'{dataset}_{name}'] for name in ('UAR', 'WAR')]
        if any(figures):
            cells = [row['method'], row['year'], row['pretraining'], *figures]
            grid.add_row(*map(Text, cells))
    return grid
