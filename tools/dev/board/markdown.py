"""The board as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from micacl_mm.records.board import Table
from micacl_mm.records.entry import Entry
from micacl_mm.records.published import PUBLISHED_SETS
from micacl_mm.records.statistics import Interval

NO_ROWS = 'No training has been run and committed yet.'
READING = (
    'UAR, WAR and recalls in percent: mean ± half width of the 95 % interval '
    'over folds or seeds. **Bold**: the best UAR among entries of one '
    'selection rule, pretraining, sampling, post-hoc logit adjustment, length '
    'of the training and validation slice, and every entry whose interval '
    'overlaps with that of the best, which is not shown to be worse. An entry '
    'with fewer than three replicates, with missing folds or test clips, with '
    'random test sampling, or from uncommitted code is excluded from the '
    'ranking.'
)
PUBLISHED_NOTE = (
    'Figures as others printed them, in percent, on DFEW the mean of five '
    'folds, taken over without checking them against each paper. Which '
    'checkpoint was tested and how it was sampled differs from paper to paper '
    'and is often not said. '
    "MICACL's own published figures are not known to us, hence it has no row "
    'here. DFEW has 145 clips of Disgust: one of them is 0.69 points of '
    'its recall over the five folds, and 0.10 of UAR.'
)
#: Rows of README's table at most.
SHORT = 15
README_NO_ROWS = 'No row of the open benchmark has been committed yet.'
README_SET = 'synthetic-v1-medium'


def escape(text: str) -> str:
    """Make any text a harmless cell of a Markdown table."""
    text = text.replace('&', '&amp;').replace('<', '&lt;')
    return re.sub(r'([\\`*_\[\]|~$])', r'\\\1', text.replace('>', '&gt;'))


def figure(value: Optional[Interval]) -> str:
    """``68.42 ± 1.20``, ``68.42``, or ``-`` where nothing is known."""
    if value is None:
        return '-'
    if value.half_width is None:
        return f'{value.mean:.2f}'
    return f'{value.mean:.2f} ± {value.half_width:.2f}'


def grid(header: Sequence[str], align: str, rows: Iterable[Sequence]) -> str:
    """Lay out a Markdown table; ``align`` has ``l`` or ``r`` a column."""
    rules = ['--:' if side == 'r' else '---' for side in align]
    lines = [header, rules, *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def names_of(entries: Sequence[Entry]) -> list[str]:
    """Methods; with sampling and hash of the config where these differ."""
    names = []
    for entry in entries:
        same = [
            other
            for other in entries
            if other.rule == entry.rule and other.name == entry.name
        ]
        differing = [
            entry.text(column)
            for column in ('sampling', 'config_hash', 'processes')
            if len({other.text(column) for other in same}) > 1
        ]
        found = f' ({"; ".join(differing)})' if differing else ''
        names.append(entry.name + found)
    return names


def _uar(entry: Entry) -> str:
    text = figure(entry.uar)
    return f'**{text}**' if entry.best else text


def _runs(entry: Entry) -> str:
    return escape('; '.join([entry.replicates, *entry.notes]))


def table_markdown(table: Table) -> str:
    """One data set with all its entries."""
    header = ['Method', 'Pretraining', 'UAR', 'WAR', *table.order]
    header += ['Selection', 'Runs']
    rows = [
        [
            escape(name),
            escape(entry.text('pretraining')),
            _uar(entry),
            figure(entry.metrics['WAR']),
            *(figure(entry.metrics[f'recall_{c}']) for c in table.order),
            escape(entry.rule),
            _runs(entry),
        ]
        for name, entry in zip(
            names_of(table.entries), table.entries, strict=True
        )
    ]
    align = 'll' + 'r' * (len(header) - 4) + 'll'
    return f'## {table.title}\n\n{grid(header, align, rows)}'


def published_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """The figures of others."""
    names = ['method', 'year', 'backbone', 'pretraining']
    header = [name.capitalize() for name in names]
    for dataset, title in PUBLISHED_SETS.items():
        for metric in ('UAR', 'WAR'):
            names.append(f'{dataset}_{metric}')
            header.append(f'{title} {metric}')
    names.append('source')
    cells = [[escape(row[name]) for name in names] for row in rows]
    body = grid([*header, 'Source'], 'llllrrrrl', cells)
    return f'## Published, not rerun\n\n{PUBLISHED_NOTE}\n\n{body}'


def board_markdown(
    tables: Sequence[Table], published: Sequence[Mapping[str, str]]
) -> str:
    """The whole board.

    Args:
        tables (Sequence[Table]): From :func:`~.board.build_board`.
        published (Sequence[Mapping[str, str]]): From
            :func:`~.published.read_published`.

    Returns:
        str: Sections of level two, without an end of line at the end.
    """
    parts = [READING] if tables else [NO_ROWS]
    parts += map(table_markdown, tables)
    if published:
        parts.append(published_markdown(published))
    return '\n\n'.join(parts)


def readme_markdown(tables: Sequence[Table]) -> str:
    """README's short table: the benchmark's middle level, no ablations."""
    found = [t for t in tables if t.dataset == README_SET and not t.ablation]
    if not found:
        return README_NO_ROWS
    table = found[0]
    tail = table.order[-1]
    pairs = list(zip(names_of(table.entries), table.entries, strict=True))
    rows = [
        [
            escape(name),
            _uar(entry),
            figure(entry.metrics['WAR']),
            figure(entry.metrics[f'recall_{tail}']),
            escape(entry.rule),
            _runs(entry),
        ]
        for name, entry in pairs[:SHORT]
    ]
    header = ['Method', 'UAR', 'WAR', f'{tail} (rarest)', 'Selection', 'Runs']
    parts = [grid(header, 'lrrrll', rows), READING]
    if len(pairs) > SHORT:
        parts.insert(1, f'{len(pairs) - SHORT} more stand on the board.')
    return f'{table.title}:\n\n' + '\n\n'.join(parts)
