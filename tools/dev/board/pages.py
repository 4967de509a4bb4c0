"""Every file that is made of the board."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from micacl_mm.records.board import Table

from .ablation import ablation_markdown
from .html import board_html
from .markdown import board_markdown, readme_markdown

BEGIN = '<!-- leaderboard:begin -->'
END = '<!-- leaderboard:end -->'
_MADE = '<!-- Made by tools/dev/board from results/*.csv: do not edit. -->'


def board_files(
    folder: Path, tables: Sequence[Table], published: Sequence[Mapping]
) -> dict[Path, str]:
    """Return the two files of a board, Markdown and HTML, by path."""
    body = board_markdown(tables, published)
    return {
        folder / 'leaderboard.md': f'# Leaderboard\n\n{_MADE}\n\n{body}\n',
        folder / 'leaderboard.html': board_html(tables, published),
    }


def ablation_file(folder: Path, tables: Sequence[Table]) -> dict[Path, str]:
    """Return the tables of the ablation as a page of their own, by path."""
    text = f'# Ablation\n\n{_MADE}\n\n{ablation_markdown(tables)}\n'
    return {folder / 'ablation.md': text}


def page_files(
    root: Path, tables: Sequence[Table], published: Sequence[Mapping]
) -> dict[Path, str]:
    """Return the project's pages with their blocks made anew, by path.

    Pages that are not there are left out.

    Raises:
        ValueError: A page has not exactly one block.
    """
    blocks = {
        root / 'README.md': readme_markdown(tables),
        root / 'docs' / 'leaderboard.md': board_markdown(tables, published),
        root / 'docs' / 'ablation.md': ablation_markdown(tables),
    }
    return {
        path: replace_block(path, block)
        for path, block in blocks.items()
        if path.is_file()
    }


def replace_block(path: Path, block: str) -> str:
    """Return the text of a page with another block between the markers.

    Raises:
        ValueError: The markers do not stand there once each, in order.
    """
    text = path.read_text(encoding='utf-8')
    counts = text.count(BEGIN), text.count(END)
    if counts != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ValueError(
            f'{path}: must hold one {BEGIN} and one {END} behind it, got '
            f'{counts[0]} and {counts[1]}; put both on lines of their own'
        )
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f'{before}{BEGIN}\n{_MADE}\n\n{block}\n\n{END}{after}'


def stale_files(files: Mapping[Path, str]) -> list[Path]:
    """Return the paths whose file is absent or holds another text."""
    return [
        path
        for path, text in files.items()
        if not path.is_file()
        or path.read_text(encoding='utf-8', errors='replace') != text
    ]
