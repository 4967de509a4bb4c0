"""Make the leaderboard of committed result rows and fresh runs.

Writes leaderboard.md and leaderboard.html, and the blocks between the
markers in README.md and docs/leaderboard.md beside the folder of results.

  python -m tools.dev.board                    the committed board
  python -m tools.dev.board --check            is it up to date?
  python -m tools.dev.board --runs work_dirs/x fresh runs beside it; one
                                                 that measured something else
                                                 than its committed row makes
                                                 an entry "... (rerun)"
  python -m tools.dev.board --runs work_dirs/x --add synthetic
                                                 append their rows to
                                                 results/synthetic.csv
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.records.board import build_board
from micacl_mm.records.published import read_published
from micacl_mm.records.rows import (
    PUBLISHED,
    ResultRow,
    add_rows,
    format_rows,
    read_folder,
    rerun_rows,
)
from micacl_mm.records.runs import read_runs
from micacl_mm.utils.files import write_text
from tools.dev.board.pages import (
    ablation_file,
    board_files,
    page_files,
    stale_files,
)

ROOT = Path(__file__).resolve().parents[3]


def parse_arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        '--results',
        type=Path,
        default=ROOT / 'results',
        help='folder of the committed rows, *.csv (default: results)',
    )
    parser.add_argument(
        '--runs',
        type=Path,
        nargs='+',
        default=[],
        metavar='WORK_DIR',
        help='take every result.json below these folders too',
    )
    parser.add_argument(
        '--add',
        metavar='NAME',
        help='append the rows of --runs to NAME.csv in the results folder;\n'
        'a run that is there is passed over, or refused if it has other\n'
        'figures',
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='folder of leaderboard.md and leaderboard.html (default: the\n'
        'results folder; with --runs but not --add work_dirs/leaderboard,\n'
        'and ablation.md beside them)',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; exit code 1 if a file is not up to date',
    )
    arguments = parser.parse_args(argv)
    if arguments.check and arguments.runs:
        parser.error('--check looks at committed rows only, not at --runs')
    if arguments.add is not None:
        if not arguments.runs:
            parser.error('--add needs --runs WORK_DIR')
        name = arguments.add = arguments.add.removesuffix('.csv')
        if not re.fullmatch(r'[\w-]+', name) or f'{name}.csv' == PUBLISHED:
            parser.error(f'--add must be a name such as dfew, got {name!r}')
    return arguments


def collect(
    arguments: argparse.Namespace,
) -> tuple[list[ResultRow], dict[Path, str]]:
    """Return all rows, and the files that get new rows."""
    committed = read_folder(arguments.results)
    fresh = read_runs(arguments.runs)
    if arguments.add is None:
        fresh = rerun_rows(committed, fresh)
    new = add_rows(committed, fresh)
    print(f'{len(committed)} committed rows, {len(new)} new ones')
    if arguments.add is None or not new:
        return [*committed, *new], {}
    new = [row._replace(group=arguments.add) for row in new]
    target = arguments.results / f'{arguments.add}.csv'
    rows = [row for row in committed if row.group == arguments.add]
    return [*committed, *new], {target: format_rows([*rows, *new])}


def make_files(arguments: argparse.Namespace) -> dict[Path, str]:
    """Return the text of all files to write, by path."""
    rows, files = collect(arguments)
    path = arguments.results / PUBLISHED
    published = read_published(path) if path.is_file() else []
    tables = build_board(rows)
    committed = not arguments.runs or arguments.add is not None
    here = arguments.results if committed else Path('work_dirs/leaderboard')
    out = arguments.out or here
    files |= board_files(out, tables, published)
    if committed:
        # The project's pages show nothing that is not in its results.
        root = arguments.results.resolve().parent
        files |= page_files(root, tables, published)
    else:
        files |= ablation_file(out, tables)
    return files


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make or check the board.

    Returns:
        int: 0; 1 for a file that is not up to date; 2 for wrong input, and
        then nothing has been written.
    """
    arguments = parse_arguments(argv)
    try:
        files = make_files(arguments)
        stale = stale_files(files)
        if arguments.check:
            for path in stale:
                print(f'{path} is stale; run: python -m tools.dev.board')
            return int(bool(stale))
        for path in stale:
            write_text(path, files[path])
            print(f'wrote {path}')
    except (OSError, ValueError) as error:
        print(f'leaderboard: {error}', file=sys.stderr)
        return 2
    if not stale:
        print('everything is up to date')
    return 0


if __name__ == '__main__':
    sys.exit(main())
