"""Write the pages of the leaderboard from the committed rows.

Writes results/leaderboard.md, the blocks between the markers in README.md,
README_zh-CN.md and docs/ablation.md, and the results in the metafile of the
leaderboard's configs.

  python -m tools.dev.board            write what is stale
  python -m tools.dev.board --check    exit code 1 if a file is stale

Rows are added by: micacl leaderboard WORK_DIR --add NAME
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Optional

import yaml

from micacl_mm.records.board import (
    Entry,
    Table,
    build_board,
    figure,
    names_of,
)
from micacl_mm.records.rows import (
    PUBLISHED,
    PUBLISHED_SETS,
    read_folder,
    read_published,
)
from micacl_mm.records.statistics import difference
from micacl_mm.utils.files import write_text

ROOT = Path(__file__).resolve().parents[2]
BEGIN = '<!-- leaderboard:begin -->'
END = '<!-- leaderboard:end -->'
MADE = '<!-- Made by tools/dev/board.py from results/*.csv: do not edit. -->'
NO_ROWS = 'No training has been run and committed yet.'
READING = (
    'UAR, WAR, macro-F1 and recalls in percent: mean ± half width of the 95 % '
    'interval over folds or seeds. **Bold**: the best UAR among entries of '
    'one selection rule, pretraining, sampling, post-hoc logit adjustment, '
    'length of the training and validation slice, and every entry whose '
    'interval overlaps with that of the best. An entry with fewer than three '
    'replicates, with missing folds or test clips, with random test sampling, '
    'from uncommitted code, or with other settings than newer rows of its '
    'method is excluded from the ranking.'
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
#: Rows of README's table; the board has all.
README_METHODS = (
    'micacl_plus',
    'micacl_plus_without_mccl',
    'geiim_wian_mccl',
    'logit_adjustment',
    'r3d18_mil',
)
README_READING = (
    'Percent, mean ± half width of the 95 % interval over seeds. **Bold**: '
    'the best UAR and those whose interval overlaps with it.'
)
README_NO_ROWS = 'No row of the open benchmark has been committed yet.'
README_SET = 'synthetic-v1-medium'
#: Entries of the committed tables are compared with these.
REFERENCES = ('r3d18_mil', 'geiim_wian_mccl')
METAFILE = 'configs/leaderboard/metafile.yml'
ABLATION_READING = (
    'UAR, WAR and recalls in percent: mean ± half width of the 95 % interval, '
    'last epoch. Difference: UAR minus that of the first line, with its 95 % '
    'interval (Welch); **bold** where that excludes zero. Of 20 lines without '
    'any effect one is bold by chance. All intervals are about other seeds on '
    'the same clips, not about other clips.'
)


def escape(text: str) -> str:
    """Make any text a harmless cell of a Markdown table."""
    text = text.replace('&', '&amp;').replace('<', '&lt;')
    return re.sub(r'([\\`*_\[\]|~$])', r'\\\1', text.replace('>', '&gt;'))


def grid(header: Sequence[str], align: str, rows: Iterable[Sequence]) -> str:
    """Lay out a Markdown table; ``align`` has ``l`` or ``r`` a column."""
    rules = ['--:' if side == 'r' else '---' for side in align]
    lines = [header, rules, *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def _uar(entry: Entry) -> str:
    text = figure(entry.uar)
    return f'**{text}**' if entry.best else text


def _named(entries: Sequence[Entry]) -> Iterable[tuple[str, Entry]]:
    return zip(map(escape, names_of(entries)), entries, strict=True)


def _figures(entry: Entry, *names: str) -> list[str]:
    return [figure(entry.metrics[name]) for name in names]


def table_markdown(table: Table) -> str:
    """One data set with all its entries."""
    header = ['Method', 'Pretraining', 'UAR', 'WAR', 'F1', *table.order]
    recalls = [f'recall_{name}' for name in table.order]
    rows = [
        [
            name,
            escape(entry.text('pretraining')),
            _uar(entry),
            *_figures(entry, 'WAR', 'F1', *recalls),
            escape(entry.rule),
            escape(entry.runs),
        ]
        for name, entry in _named(table.entries)
    ]
    align = 'll' + 'r' * (len(header) - 2) + 'll'
    body = grid([*header, 'Selection', 'Runs'], align, rows)
    return f'## {table.title}\n\n{body}'


def published_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """The figures of others, a table for each set."""
    parts = [f'## Published, not rerun\n\n{PUBLISHED_NOTE}']
    names = ['method', 'year', 'backbone', 'pretraining']
    for dataset, title in PUBLISHED_SETS.items():
        figures = [f'{dataset}_{metric}' for metric in ('UAR', 'WAR')]
        shown = [*names, *figures, 'protocol', 'source']
        cells = [
            [escape(row[name]) for name in shown]
            for row in sorted(rows, key=lambda r: -float(r[figures[0]] or 0))
            if any(row[name] for name in figures)
        ]
        header = [n.capitalize() for n in names] + ['UAR', 'WAR']
        body = grid([*header, 'Protocol', 'Source'], 'llllrrll', cells)
        parts.append(f'### {title}, published\n\n{body}')
    return '\n\n'.join(parts)


def board_markdown(
    tables: Sequence[Table], published: Sequence[Mapping[str, str]]
) -> str:
    """The whole board, as sections of level two."""
    parts = [READING] if tables else [NO_ROWS]
    parts += map(table_markdown, tables)
    if published:
        parts.append(published_markdown(published))
    return '\n\n'.join(parts)


def readme_markdown(tables: Sequence[Table]) -> str:
    """README's short table: the benchmark's middle level."""
    found = [t for t in tables if t.dataset == README_SET and not t.ablation]
    if not found:
        return README_NO_ROWS
    table = found[0]
    tail = table.order[-1]
    rows = [
        [
            name,
            _uar(entry),
            *_figures(entry, 'WAR', f'recall_{tail}'),
            escape(re.sub('; code of commits [^;]*', '', entry.runs)),
        ]
        for name, entry in _named(table.entries)
        if entry.name in README_METHODS
    ]
    header = ['Method', 'UAR', 'WAR', f'{tail} (rarest)', 'Runs']
    return f'{grid(header, "lrrrl", rows)}\n\n{README_READING}'


def ablation_markdown(tables: Sequence[Table]) -> str:
    """What each change does to a reference, a table for each reference.

    The first compares all entries of the benchmark's middle level, the
    second those of ``ablation*.csv``.
    """
    found = [table for table in tables if table.dataset == README_SET]
    entries = [
        (table.ablation, entry)
        for table in found
        for entry in table.entries
        if entry.text('selection') == 'last' and not entry.outdated
    ]
    sections = []
    for reference, of_ablation in zip(REFERENCES, (False, True), strict=True):
        first = [entry for _, entry in entries if entry.name == reference]
        others = [
            entry
            for ablation, entry in entries
            if ablation == of_ablation and entry.name != reference
        ]
        if len(first) == 1 and others:
            sections.append(
                f'### Compared with {escape(reference)}\n\n'
                + _study(first[0], others, found[0].order)
            )
    return '\n\n'.join(
        [ABLATION_READING, *sections] if sections else [NO_ROWS]
    )


def _study(
    reference: Entry, others: Sequence[Entry], order: Sequence[str]
) -> str:
    head, tail = order[0], order[-1]
    rows = [
        [
            name,
            figure(entry.uar),
            _difference(reference, entry),
            *_figures(entry, 'WAR', f'recall_{head}', f'recall_{tail}'),
            escape(entry.runs),
        ]
        for name, entry in _named([reference, *others])
    ]
    header = ['Method', 'UAR', 'Difference', 'WAR']
    header += [f'{head} (head)', f'{tail} (tail)', 'Runs']
    return grid(header, 'lrrrrrl', rows)


def _difference(reference: Entry, entry: Entry) -> str:
    """Empty for the reference, ``-`` for what is not ranked."""
    if entry is reference:
        return ''
    if not (entry.comparable and reference.comparable):
        return '-'
    value, half_width = difference(reference.uar, entry.uar)
    text = f'{value:+.2f} ± {half_width:.2f}'
    return f'**{text}**' if abs(value) > half_width else text


def replace_block(path: Path, block: str) -> str:
    """Return the text of a page with another block between the markers."""
    text = path.read_text(encoding='utf-8')
    counts = text.count(BEGIN), text.count(END)
    if counts != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ValueError(
            f'{path}: must hold one {BEGIN} and one {END} behind it, got '
            f'{counts[0]} and {counts[1]}; put both on lines of their own'
        )
    before, rest = text.split(BEGIN)
    return f'{before}{BEGIN}\n{MADE}\n\n{block}\n\n{END}{rest.split(END)[1]}'


def metafile(path: Path, tables: Sequence[Table]) -> str:
    """Return a metafile of OpenMMLab with the results of its models.

    They are those of the benchmark's middle level, in the last epoch, as far
    as they are ranked.
    """
    index = yaml.safe_load(path.read_text(encoding='utf-8'))
    found = {
        entry.name: entry.metrics
        for table in tables
        if table.dataset == README_SET and not table.ablation
        for entry in table.entries
        if entry.text('selection') == 'last' and entry.comparable
    }
    for model in index['Models']:
        model.pop('Results', None)
        if metrics := found.get(model['Name']):
            values = {k: round(metrics[k].mean, 2) for k in ('UAR', 'WAR')}
            model['Results'] = [
                dict(
                    Task='Dynamic Facial Expression Recognition',
                    Dataset=model['Metadata']['Training Data'],
                    Metrics=values,
                )
            ]
    return yaml.safe_dump(index, sort_keys=False, width=79)


def make_files(results: Path) -> dict[Path, str]:
    """Return the text of all pages by path; absent ones are left out."""
    tables = build_board(read_folder(results))
    path = results / PUBLISHED
    published = read_published(path) if path.is_file() else []
    board = board_markdown(tables, published)
    files = {
        results / 'leaderboard.md': f'# Leaderboard\n\n{MADE}\n\n{board}\n'
    }
    blocks = {
        'README.md': readme_markdown(tables),
        'README_zh-CN.md': readme_markdown(tables),
        'docs/ablation.md': ablation_markdown(tables),
    }
    for name, block in blocks.items():
        page = results.resolve().parent / name
        if page.is_file():
            files[page] = replace_block(page, block)
    page = results.resolve().parent / METAFILE
    if page.is_file():
        files[page] = metafile(page, tables)
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
