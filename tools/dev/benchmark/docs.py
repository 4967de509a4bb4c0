"""Tables between markers of a page."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .parts import PARTS
from .report import headline, table_markdown

_MADE = '<!-- Made by tools/dev/benchmark --docs: do not edit. -->'


def fill(text: str, report: Mapping[str, Any]) -> str:
    """Put the tables of a report between the markers of a page.

    ``<!-- benchmark:NAME:begin -->`` and ``end`` stand around the table of a
    part, those called ``machine`` around the line about the machine. A block
    whose part is not in the report stays as it is.

    Args:
        text (str): The page.
        report (Mapping[str, Any]): From :func:`~.report.read_report`.

    Returns:
        str: The page with new blocks.

    Raises:
        ValueError: A marker without its partner, or of an unknown name.
    """
    blocks = {name: table_markdown(report, name) for name in report['parts']}
    blocks['machine'] = headline(report)
    for name in re.findall(r'<!-- benchmark:(\S+):(?:begin|end) -->', text):
        begin, end = (
            f'<!-- benchmark:{name}:{side} -->' for side in ('begin', 'end')
        )
        counts = text.count(begin), text.count(end)
        good = counts == (1, 1) and text.index(begin) < text.index(end)
        if not good or name not in ('machine', *PARTS):
            raise ValueError(
                f'the page must hold one {begin} and one {end} behind it, of '
                f'a known part, got {counts[0]} and {counts[1]}; put both on '
                'lines of their own'
            )
        if name in blocks:
            before, rest = text.split(begin)
            after = rest.split(end)[1]
            body = f'{begin}\n{_MADE}\n\n{blocks[name]}\n\n{end}'
            text = before + body + after
    return text


def fill_file(path: Path, report: Mapping[str, Any]) -> bool:
    """Fill a page; whether it changed.

    Raises:
        ValueError: See :func:`fill`; the file is then as it was.
    """
    old = path.read_text(encoding='utf-8')
    new = fill(old, report)
    if new != old:
        path.write_text(new, encoding='utf-8', newline='\n')
    return new != old
