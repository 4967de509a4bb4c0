"""Figures that others published: read from a table, never rerun here."""

import re
from pathlib import Path

from micacl_mm.utils.files import read_table

from .row_checks import RECALLS

#: Sets with published figures, by their name in the columns.
PUBLISHED_SETS = {'dfew': 'DFEW', 'ferv39k': 'FERV39k'}
_FIGURES = tuple(
    f'{name}_{metric}' for name in PUBLISHED_SETS for metric in ('UAR', 'WAR')
)
_RECALLS = tuple(
    f'{dataset}_{name}' for dataset in PUBLISHED_SETS for name in RECALLS
)
PUBLISHED_COLUMNS = (
    *('method', 'year', 'backbone', 'pretraining'),
    *_FIGURES,
    *_RECALLS,
    'source',
)


def read_published(path: Path) -> list[dict[str, str]]:
    """Read the published figures.

    Args:
        path (Path): ``results/published.csv``. Figures are percentages as
            they were printed; an unknown value is empty.

    Returns:
        list[dict[str, str]]: Cells by column, the best UAR on DFEW first.

    Raises:
        ValueError: One line ``file:line: what is wrong`` for every problem.
    """
    rows, wrong, seen = [], [], {}
    for origin, row in read_table(Path(path), PUBLISHED_COLUMNS):
        found = _problems(row)
        if row['method'] in seen:
            found.append(f'the method stands at {seen[row["method"]]} too')
        seen.setdefault(row['method'], origin)
        wrong += [f'{origin}: {problem}' for problem in found]
        rows.append(row)
    if wrong:
        raise ValueError('\n'.join(wrong))
    return sorted(rows, key=lambda row: -float(row['dfew_UAR'] or 0))


def _problems(row: dict[str, str]) -> list[str]:
    found = [
        f'{name} must not be empty'
        for name in ('method', 'source')
        if not row[name]
    ]
    if not any(row[name] for name in _FIGURES):
        found.append(f'one of {", ".join(_FIGURES)} must be there')
    for name in (*_FIGURES, *_RECALLS):
        text = row[name]
        good = re.fullmatch(r'[0-9]{1,3}(\.[0-9]+)?', text)
        if text and not (good and float(text) <= 100):
            found.append(f'{name} must be a percentage or empty, got {text!r}')
    if row['year'] and not re.fullmatch('[12][0-9]{3}', row['year']):
        found.append(f'year must be like 2025 or empty, got {row["year"]!r}')
    return found
