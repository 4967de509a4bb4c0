"""Write the pages of the leaderboard from the committed rows.

Writes results/leaderboard.md and .html, and the blocks between the markers
in README.md and docs/ablation.md.

  python -m tools.dev.board            write what is stale
  python -m tools.dev.board --check    exit code 1 if a file is stale

Rows are added by: micacl leaderboard WORK_DIR --add NAME
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.records.board import build_board
from micacl_mm.records.rows import PUBLISHED, read_folder, read_published
from micacl_mm.utils.files import write_text
from tools.dev.board import html, markdown

ROOT = Path(__file__).resolve().parents[3]


def make_files(results: Path) -> dict[Path, str]:
    """Return the text of all pages by path; absent ones are left out."""
    tables = build_board(read_folder(results))
    path = results / PUBLISHED
    published = read_published(path) if path.is_file() else []
    board = markdown.board_markdown(tables, published)
    files = {
        results / 'leaderboard.md': (
            f'# Leaderboard\n\n{markdown.MADE}\n\n{board}\n'
        ),
        results / 'leaderboard.html': html.board_html(tables, published),
    }
    blocks = {
        'README.md': markdown.readme_markdown(tables),
        'docs/ablation.md': markdown.ablation_markdown(tables),
    }
    for name, block in blocks.items():
        page = results.resolve().parent / name
        if page.is_file():
            files[page] = markdown.replace_block(page, block)
    return files


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write or check the pages.

    Returns:
        int: 0; 1 for a file that is not up to date; 2 for wrong input, and
        then nothing has been written.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--results', type=Path, default=ROOT / 'results')
    parser.add_argument('--check', action='store_true')
    arguments = parser.parse_args(argv)
    try:
        files = make_files(arguments.results)
    except (OSError, ValueError) as error:
        print(f'leaderboard: {error}', file=sys.stderr)
        return 2
    stale = [
        path
        for path, text in files.items()
        if not path.is_file()
        or path.read_text(encoding='utf-8', errors='replace') != text
    ]
    for path in stale:
        if arguments.check:
            print(f'{path} is stale; run: python -m tools.dev.board')
        else:
            write_text(path, files[path])
            print(f'wrote {path}')
    if not stale:
        print('everything is up to date')
    return int(arguments.check and bool(stale))


if __name__ == '__main__':
    sys.exit(main())
