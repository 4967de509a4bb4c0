"""The columns of a result row, and what a row must hold."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date

import torch

from micacl_mm.datasets import (
    BaseDFERDataset,
    DFEWDataset,
    FERV39kDataset,
)
from micacl_mm.evaluation import RecallMetric

CLASSES = BaseDFERDataset.CLASSES
RECALLS = tuple(f'recall_{name}' for name in CLASSES)
METRICS = ('UAR', 'WAR', *RECALLS)
COLUMNS = (
    *('dataset', 'frames', 'method', 'pretraining', 'fold', 'subset', 'seed'),
    *('processes', 'selection', 'epoch', 'max_epochs', 'val_ratio'),
    *('sampling', 'logit_adjust'),
    *METRICS,
    *('clips', 'parameters_m', 'gflops', 'bags_per_second', 'machine'),
    *('version', 'commit', 'config', 'config_hash', 'command', 'date'),
    'confusion_matrix',
)
#: Which checkpoint was tested -> how the board calls it.
SELECTIONS = {
    'val': 'best on validation slice',
    'last': 'last epoch',
    'test': "best on TEST split (the field's habit)",
    'other': 'another rule',
}
REQUIRED = (
    *('dataset', 'method', 'seed', 'selection', 'config_hash', 'sampling'),
    *('UAR', 'WAR', 'clips', 'confusion_matrix'),
)
#: Absent from older files, and then empty.
OPTIONAL = ('logit_adjust',)
#: Test clips of each class in a version of the open benchmark, on all levels.
BENCHMARK_COUNTS = {'v1': [169, 131, 184, 150, 101, 80, 80]}
DATASETS = re.compile(r'dfew|ferv39k|synthetic(-v\d+-(easy|medium|hard))?')
_NUMBER = r'[0-9]{1,15}(\.[0-9]+)?(e-[0-9]+)?'
#: How a filled cell is written, and the same in words.
_FORMATS = {
    **dict.fromkeys(
        ('seed', 'processes', 'epoch', 'max_epochs', 'clips'),
        ('[0-9]{1,15}', 'a whole number'),
    ),
    **dict.fromkeys(
        METRICS,
        (
            r'[0-9]{1,2}\.[0-9]{2}|100\.00',
            'a percentage with two decimals, 0.00 to 100.00',
        ),
    ),
    **dict.fromkeys(
        ('logit_adjust', 'parameters_m', 'gflops', 'bags_per_second'),
        (_NUMBER, 'a number, 0 or above'),
    ),
}
# Half a unit of the second decimal, and room for the float itself.
ROUNDING = 0.00501


def problems(row: Mapping[str, str]) -> list[str]:
    """Say everything that is wrong with a row.

    Args:
        row (Mapping[str, str]): The cells by column. Figures are percentages
            as text, an unknown value is empty.

    Returns:
        list[str]: One sentence a problem; empty for a good row.
    """
    found = [*_cell_problems(row), *_run_problems(row)]
    # Sums over cells that are no numbers would say nothing.
    return found or list(_figure_problems(row))


def _cell_problems(row: Mapping[str, str]) -> Iterator[str]:
    for name in COLUMNS:
        text = row[name]
        form, words = _FORMATS.get(name, ('.*', ''))
        if not text.isprintable():
            yield f'{name} must be one line of plain text, got {text!r}'
        elif text != text.strip():
            yield f'{name} must have no blanks around it, got {text!r}'
        elif not text:
            if name in REQUIRED:
                yield f'{name} must not be empty'
        elif not re.fullmatch(form, text):
            yield f'{name} must be {words}, got {text[:40]!r}'
        elif name == 'date' and not _is_day(text):
            yield f'date must be a day such as 2025-09-30, got {text!r}'


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _run_problems(row: Mapping[str, str]) -> Iterator[str]:
    """What dataset, fold, selection and the rest say of each other."""
    dataset, fold, selection = row['dataset'], row['fold'], row['selection']
    if dataset and not DATASETS.fullmatch(dataset):
        yield (
            'dataset must be dfew, ferv39k, synthetic-v<n>-easy, -medium or '
            f'-hard, or synthetic (any other drawn set), got {dataset!r}'
        )
    subset = row['subset']
    if dataset == 'ferv39k' and not subset:
        yield 'subset must not be empty, it is all, a scene or a scenario'
    elif dataset != 'ferv39k' and subset:
        yield f'subset must be empty, only FERV39k has some, got {subset!r}'
    frames = row['frames']
    if frames not in ('', 'reference', 'differ'):
        yield f'frames must be reference, differ or empty, got {frames!r}'
    if fold and fold not in ('1', '2', '3', '4', '5'):
        yield f'fold must be 1 to 5 or empty, got {fold!r}'
    elif dataset == 'dfew' and not fold:
        yield 'fold must not be empty, DFEW is tested fold by fold'
    elif dataset.startswith('synthetic-') and fold != '1':
        yield f'fold must be 1, the benchmark has no other, got {fold!r}'
    elif dataset == 'ferv39k' and fold:
        yield f'fold must be empty, FERV39k has one split, got {fold!r}'
    if selection and selection not in SELECTIONS:
        names = ', '.join(SELECTIONS)
        yield f'selection must be one of {names}, got {selection!r}'
    ratio = row['val_ratio']
    if ratio and not (re.fullmatch(_NUMBER, ratio) and float(ratio) < 1):
        yield f'val_ratio must be a share, 0 or above, below 1, got {ratio!r}'
    elif selection == 'val' and ratio and float(ratio) == 0:
        yield (
            'selection must not be val with a val_ratio of 0, for there is '
            'no validation slice; it is test, last or other'
        )


def _figure_problems(row: Mapping[str, str]) -> Iterator[str]:
    """UAR, WAR, the recalls and the clips against the matrix."""
    matrix = read_matrix(row['confusion_matrix'])
    if matrix is None:
        size = len(CLASSES)
        yield (
            f'confusion_matrix must be {size} lists of {size} counts as JSON, '
            'rows = truth, at least one clip, got '
            f'{row["confusion_matrix"][:40]!r}'
        )
        return
    expected = RecallMetric.summarise(matrix, CLASSES)
    expected = {name.replace('/', '_'): v for name, v in expected.items()}
    wrong = [n for n in METRICS if not _agrees(row[n], 100 * expected[n])]
    given = sorted(row[name] for name in RECALLS)
    shown = {
        n: '' if v != v else f'{100 * v:.2f}' for n, v in expected.items()
    }
    if set(wrong) & set(RECALLS) and (
        given == sorted(shown[name] for name in RECALLS)
    ):
        yield (
            'the recalls are those of confusion_matrix in another order of '
            f'classes; take {", ".join(CLASSES)} for both'
        )
    else:
        for name in wrong:
            yield (
                f'{name} must be {shown[name] or "empty"} by '
                f'confusion_matrix, got {row[name] or "an empty cell"}'
            )
    official, counts = official_counts(row), matrix.sum(dim=1).tolist()
    if official and counts != official and sorted(counts) == sorted(official):
        yield (
            'confusion_matrix has the test clips of the set in another order '
            f'of classes; its rows must be {", ".join(CLASSES)}'
        )
    if int(row['clips']) != int(matrix.sum()):
        yield (
            f'clips must be {int(matrix.sum())} by confusion_matrix, got '
            f'{row["clips"]}'
        )


def official_counts(row: Mapping[str, str]) -> list[int] | None:
    """Return the test clips of each class, where they are known."""
    name, _, version = row['dataset'].partition('-')
    if row['dataset'] == 'dfew':
        return DFEWDataset.OFFICIAL_COUNTS[int(row['fold'])]['test']
    if row['dataset'] == 'ferv39k' and row['subset'] == 'all':
        return FERV39kDataset.OFFICIAL_COUNTS['all']['test']
    if name == 'synthetic':
        return BENCHMARK_COUNTS.get(version.split('-')[0])
    return None


def _agrees(text: str, percent: float) -> bool:
    if percent != percent:  # the class is absent from the split
        return not text
    return bool(text) and abs(float(text) - percent) <= ROUNDING


def read_matrix(text: str) -> torch.Tensor | None:
    """Return the counts (K, K) in a cell, or None where they are none."""
    try:
        lists = json.loads(text)
    except (ValueError, RecursionError):
        return None
    size = len(CLASSES)
    if not isinstance(lists, list) or len(lists) != size:
        return None
    for counts in lists:
        if not isinstance(counts, list) or len(counts) != size:
            return None
        if not all(type(n) is int and 0 <= n < 2**31 for n in counts):
            return None
    matrix = torch.tensor(lists)
    return matrix if matrix.sum() > 0 else None
