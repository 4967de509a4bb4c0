"""Rows of results: what they hold, reading, checking and writing them."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import torch

from micacl_mm.datasets import (
    BaseDFERDataset,
    CAERDataset,
    CREMADDataset,
    DFEWDataset,
    FERV39kDataset,
    MAFWDataset,
    RAVDESSDataset,
)
from micacl_mm.errors import DataError, MissingFileError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.utils.files import read_table, write_text

CLASSES = BaseDFERDataset.CLASSES
#: Real sets by their name in the rows.
DATASETS = {
    'dfew': DFEWDataset,
    'ferv39k': FERV39kDataset,
    'mafw': MAFWDataset,
    'cremad': CREMADDataset,
    'cremad_lt': CREMADDataset,
    'ravdess': RAVDESSDataset,
    'caer': CAERDataset,
}
_MORE_CLASSES = (
    *('Calm', 'Contempt', 'Anxiety', 'Helplessness', 'Disappointment'),
)
_MORE_RECALLS = tuple(f'recall_{name}' for name in _MORE_CLASSES)
RECALLS = (*(f'recall_{name}' for name in CLASSES), *_MORE_RECALLS)
METRICS = ('UAR', 'WAR', *RECALLS)
COLUMNS = (
    *('dataset', 'frames', 'method', 'pretraining', 'fold', 'subset', 'seed'),
    *('processes', 'selection', 'epoch', 'max_epochs', 'val_ratio'),
    *('sampling', 'logit_adjust', 'copy'),
    *METRICS,
    *('clips', 'parameters_m', 'gflops', 'bags_per_second', 'machine'),
    *('version', 'commit', 'config', 'config_hash', 'command', 'date'),
    'confusion_matrix',
)
#: Absent from older files, and then empty.
OPTIONAL = ('logit_adjust', 'copy', *_MORE_RECALLS)
REQUIRED = (
    *('dataset', 'method', 'seed', 'selection', 'config_hash', 'sampling'),
    *('UAR', 'WAR', 'clips', 'confusion_matrix', 'source'),
)
#: Rows that agree in these are replicates of one entry of the board.
ENTRY_KEY = (
    *('dataset', 'subset', 'method', 'selection', 'sampling'),
    *('logit_adjust', 'copy', 'processes', 'config_hash'),
)
#: No two rows agree in these. Other code acts like another seed.
RUN_KEY = (*ENTRY_KEY, 'fold', 'seed', 'commit')
#: Which checkpoint was tested -> how the board calls it.
SELECTIONS = {
    'val': 'best on validation slice',
    'last': 'last epoch',
    'test': "best on TEST split (the field's habit)",
    'other': 'another rule',
}
#: Test clips of each class in a version of the open benchmark, on all levels.
BENCHMARK_COUNTS = {'v1': [169, 131, 184, 150, 101, 80, 80]}
PUBLISHED = 'published.csv'
#: Sets with published figures, by their name in the columns.
PUBLISHED_SETS = {
    'dfew': 'DFEW',
    'ferv39k': 'FERV39k',
    'mafw': 'MAFW',
    'cremad': 'CREMA-D',
    'ravdess': 'RAVDESS',
}
_WHOLE = ('[0-9]{1,9}', 'a whole number')
_PERCENT = (
    r'[0-9]{1,2}\.[0-9]{2}|100\.00',
    'a percentage with two decimals, 0.00 to 100.00',
)
_SIZE = (
    r'[0-9]{1,5}(\.[0-9]+)?(e-[0-9]+)?',
    'a number, 0 or above, below 100,000',
)
#: How a filled cell is written, and the same in words.
_FORMATS = {
    **dict.fromkeys(
        ('seed', 'processes', 'epoch', 'max_epochs', 'clips'), _WHOLE
    ),
    **dict.fromkeys(METRICS, _PERCENT),
    **dict.fromkeys(
        ('logit_adjust', 'parameters_m', 'gflops', 'bags_per_second'), _SIZE
    ),
    'val_ratio': (
        r'0(\.[0-9]+)?|[0-9](\.[0-9]+)?e-[0-9]+',
        'a share, 0 or above, below 1',
    ),
    'dataset': (
        rf'{"|".join(DATASETS)}|cremad_lt-[\d.e+]+-[ahnsfd]{{6}}-\d+'
        r'|synthetic(-v\d+-(easy|medium|hard))?',
        f'{", ".join(DATASETS)}, synthetic-v<n>-easy, -medium or -hard, or '
        'synthetic (any other drawn set)',
    ),
    'frames': ('reference|differ', 'reference, differ or empty'),
    'selection': ('|'.join(SELECTIONS), f'one of {", ".join(SELECTIONS)}'),
    'date': (r'\d{4}-\d\d-\d\d', 'a day such as 2025-09-30'),
}
# Half a unit of the second decimal, and room for the float itself.
_ROUNDING = 0.00501
HOW_TO = (
    'rows are added by "micacl leaderboard WORK_DIR --add NAME"; '
    'results/README.md describes the columns'
)


class ResultRow(NamedTuple):
    """One tested training.

    Its cells by column, where it is from (``file:line`` or the path of a
    ``result.json``), and the name of its file without ending; empty for a run
    that is not committed.
    """

    cells: dict[str, str]
    origin: str = ''
    group: str = ''

    def key(self, columns: Sequence[str] = RUN_KEY) -> tuple[str, ...]:
        """Return the cells of some columns."""
        return tuple(self.cells[name] for name in columns)


def problems(row: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with a row, a sentence each."""
    found = [
        f'{name} {problem}'
        for name in COLUMNS
        if (problem := cell_problem(name, row[name]))
    ]
    found += _run_problems(row)
    # Sums over cells that are no numbers would say nothing.
    return found or list(_figure_problems(row))


def cell_problem(name: str, text: str) -> str:
    """Return what is wrong with the text of a column, or ``''``."""
    form, words = _FORMATS.get(name, ('.*', ''))
    if not text.isprintable():
        return f'must be one line of plain text, got {text!r}'
    if text != text.strip():
        return f'must have no blanks around it, got {text!r}'
    if not text:
        return 'must not be empty' if name in REQUIRED else ''
    if not re.fullmatch(form, text):
        return f'must be {words}, got {text[:40]!r}'
    if text[0] in '=+-@':  # a spreadsheet would compute it
        return f'must not look like a formula, got {text[:40]!r}'
    return ''


def _run_problems(row: Mapping[str, str]) -> Iterator[str]:
    """What dataset, fold, selection and the rest say of each other."""
    dataset, fold, subset = row['dataset'], row['fold'], row['subset']
    if (dataset == 'ferv39k') != bool(subset):
        yield (
            'subset must be all, a scene or a scenario of FERV39k, and empty '
            f'for other sets, got {subset!r}'
        )
    folds = ['', *'12345']
    if dataset.startswith('synthetic-'):
        folds = ['1']
    elif kind_of(dataset):
        folds = [*map(str, folds_of(dataset))] or ['']
    if fold not in folds:
        known = ', '.join(folds) or 'empty'
        yield f'fold must be {known} on {dataset}, got {fold!r}'
    if row['selection'] == 'val' and re.fullmatch('0(.0+)?', row['val_ratio']):
        yield (
            'selection must not be val with a val_ratio of 0: there is no '
            'validation slice'
        )
    epochs = row['epoch'], row['max_epochs']
    if all(map(str.isdecimal, epochs)) and int(epochs[0]) > int(epochs[1]):
        yield f'epoch must be at most max_epochs, got {" of ".join(epochs)}'
    # Where the row was made it may be tomorrow.
    latest = date.today() + timedelta(days=1)
    with suppress(ValueError):
        if date.fromisoformat(row['date'] or '2000-01-01') <= latest:
            return
    yield f'date must be a day, not in the future, got {row["date"]!r}'


def _figure_problems(row: Mapping[str, str]) -> Iterator[str]:
    """UAR, WAR, the recalls and the clips against the matrix."""
    matrix = read_matrix(row['confusion_matrix'])
    classes = classes_of(row['dataset'])
    if matrix is None or len(matrix) != len(classes):
        size = len(classes)
        yield (
            f'confusion_matrix must be {size} lists of {size} counts as JSON, '
            'rows = truth, at least one clip, got '
            f'{row["confusion_matrix"][:40]!r}'
        )
        return
    found = dict.fromkeys(METRICS, float('nan'))
    for name, value in RecallMetric.summarise(matrix, classes).items():
        found[name.replace('/', '_')] = 100 * value
    for name in METRICS:
        text, value = row[name], found[name]
        shown = '' if value != value else f'{value:.2f}'  # nan: no clip
        close = text and abs(float(text) - value) <= _ROUNDING
        if text != shown and not close:
            yield (
                f'{name} must be {shown or "empty"} by confusion_matrix, got '
                f'{text or "an empty cell"}; the order of the classes is '
                f'{", ".join(classes)}'
            )
    official, counts = official_counts(row), matrix.sum(dim=1).tolist()
    if official and counts != official and sorted(counts) == sorted(official):
        yield (
            'confusion_matrix has the test clips of the set in another order '
            f'of classes; its rows must be {", ".join(classes)}'
        )
    if int(row['clips']) != sum(counts):
        yield (
            f'clips must be {sum(counts)} by confusion_matrix, got '
            f'{row["clips"]}'
        )


def kind_of(dataset: str) -> Optional[type[BaseDFERDataset]]:
    """Class of a real set by its name in the rows."""
    return DATASETS.get(dataset.partition('-')[0])


def classes_of(dataset: str) -> tuple[str, ...]:
    """Classes of a set; drawn ones have DFEW's."""
    return (kind_of(dataset) or BaseDFERDataset).CLASSES


def folds_of(dataset: str) -> tuple[int, ...]:
    """Official folds of a set."""
    kind = kind_of(dataset)
    has_folds = kind and kind.VARIANT == 'fold'
    return tuple(kind.OFFICIAL_COUNTS) if has_folds else ()


def official_counts(row: Mapping[str, str]) -> Optional[list[int]]:
    """Return the test clips of each class, where they are known."""
    name, _, version = row['dataset'].partition('-')
    if name == 'synthetic':
        return BENCHMARK_COUNTS.get(version.split('-')[0])
    kind, fold = kind_of(name), row['fold']
    counts = kind.OFFICIAL_COUNTS if kind else {}
    variant = int(fold) if fold.isdecimal() else row['subset']
    return counts.get(variant, {}).get('test')


def read_matrix(text: str) -> Optional[torch.Tensor]:
    """Return the counts (K, K) in a cell, or None where they are none."""
    try:
        matrix = np.array(json.loads(text))
    except (ValueError, RecursionError):  # no JSON, or lists of any lengths
        return None
    square = matrix.ndim == 2 and len(set(matrix.shape)) == 1
    counts = square and matrix.dtype.kind == 'i'
    if not counts or matrix.min() < 0 or not 0 < matrix.max() < 2**31:
        return None
    return torch.from_numpy(matrix)


def read_rows(path: Path) -> list[ResultRow]:
    """Read and check one file of results.

    Raises:
        DataError: One line ``file:line: what is wrong`` for every problem.
    """
    path = Path(path)
    rows = [
        ResultRow(cells, origin, path.stem)
        for origin, cells in read_table(path, COLUMNS, OPTIONAL)
    ]
    _check(rows)
    _check_unique(rows)
    return rows


def read_folder(folder: Path) -> list[ResultRow]:
    """Read all rows of ``<folder>/*.csv``, but for the published figures.

    Raises:
        MissingFileError: There is no such folder.
        DataError: A row is wrong, or a run has two.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(
            f'there is no folder {folder}', 'name the one with the result rows'
        )
    paths = sorted(p for p in folder.glob('*.csv') if p.name != PUBLISHED)
    rows = [row for path in paths for row in read_rows(path)]
    _check_unique(rows)
    return rows


def _check(rows: Iterable[ResultRow]) -> None:
    if wrong := [
        f'{row.origin}: {problem}'
        for row in rows
        for problem in problems(row.cells)
    ]:
        raise DataError('\n'.join(wrong), HOW_TO)


def _check_unique(rows: Iterable[ResultRow]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        if row.key() in seen:
            raise DataError(
                f'{row.origin}: the same run is at {seen[row.key()]} ('
                f'{", ".join(RUN_KEY)} agree)',
                'remove one of them',
            )
        seen[row.key()] = row.origin


def add_rows(
    rows: Sequence[ResultRow], fresh: Sequence[ResultRow]
) -> list[ResultRow]:
    """Return the fresh rows that are not among the rows yet.

    A known run with the same figures is passed over. It never replaces a
    row: rerunning a training until it is lucky leaves a trace.

    Raises:
        DataError: A known run measured something else.
    """
    known = {row.key(): row for row in rows}
    new = []
    for row in fresh:
        if row.key() not in known:
            new.append(row)
        other = known.setdefault(row.key(), row)
        for name in (*METRICS, 'confusion_matrix'):
            # JSON may be written with and without blanks.
            old, now = (r.cells[name].replace(' ', '') for r in (other, row))
            if old != now:
                raise DataError(
                    f'{row.origin}: the same run is at {other.origin} with '
                    f'another {name} ({old}, now {now}), and rows are not '
                    'replaced',
                    'keep the row, remove it and say why in the pull request, '
                    'or use another seed',
                )
    return new


def format_rows(rows: Iterable[Mapping[str, str]]) -> str:
    """Lay out cells by column as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_rows(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write a file of results, whole or not at all.

    Raises:
        DataError: A row is wrong; nothing is written.
    """
    _check(rows)
    write_text(Path(path), format_rows(row.cells for row in rows))


def read_published(path: Path) -> list[dict[str, str]]:
    """Read figures that others published, best UAR on DFEW first."""
    with Path(path).open(encoding='utf-8', newline='') as stream:
        rows = list(csv.DictReader(stream))
    return sorted(rows, key=lambda row: -float(row['dfew_UAR'] or 0))
