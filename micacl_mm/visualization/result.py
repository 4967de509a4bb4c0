"""What one test gave, from a run's record or from a committed row."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from micacl_mm.evaluation import RecallMetric
from micacl_mm.records.record import read_record
from micacl_mm.records.row_checks import CLASSES, COLUMNS, read_matrix
from micacl_mm.records.rows import ENTRY_KEY, read_rows


class Result(NamedTuple):
    """One test of one checkpoint.

    Attributes:
        classes (tuple[str]): Names of the K classes.
        matrix (Tensor): Confusion matrix (K, K), clips, rows = truth.
        record (dict): All that is known of the run, as it was written.
    """

    classes: tuple[str, ...]
    matrix: Tensor
    record: dict

    def metrics(self) -> dict[str, float]:
        """UAR, WAR and ``recall/<class>`` in [0, 1]; nan: no such clip."""
        return RecallMetric.summarise(self.matrix, self.classes)


def result_of_run(path: Path) -> Result:
    """Read the ``result.json`` of a run.

    Raises:
        ValueError: It is no record of a test.
    """
    record = read_record(path)
    try:
        classes = tuple(record['classes'])
        matrix = torch.tensor(record['confusion_matrix'], dtype=torch.long)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{path} is no record of a test: {error}') from None
    square = matrix.dim() == 2 and len(set(matrix.shape)) == 1
    if not square or not all(isinstance(name, str) for name in classes):
        raise ValueError(
            f'{path} is no record of a test: it must have the names of '
            'classes and a square confusion_matrix'
        )
    return Result(classes, matrix, record)


def check_alike(results: Sequence[Result], cure: str) -> None:
    """Refuse to average what are no replicates of each other.

    Args:
        results (Sequence[Result]): Tests of the runs of one method.
        cure (str): What to do about it, with ``{}`` for the column.

    Raises:
        ValueError: They differ in more than fold and seed, or a run stands
            there twice.
    """
    for name in ENTRY_KEY:
        values = _values(results, name)
        if len(values) > 1:
            raise ValueError(
                f'runs to be averaged must have one {name}, got '
                f'{", ".join(values)}; {cure.format(name)}'
            )
    if any(len(clips) > 1 for clips in _clips(results).values()):
        raise ValueError(
            'runs to be averaged must be tested on the same clips of a fold, '
            'but they differ in number; was one tested with --missing drop, '
            'or on another set?'
        )
    runs = [(r.record.get('fold'), r.record.get('seed')) for r in results]
    if len(set(runs)) < len(runs):
        raise ValueError(
            f'runs to be averaged must differ in (fold, seed), got {runs}; '
            'leave out the doubles'
        )


def check_comparable(methods: Iterable[Sequence[Result]]) -> None:
    """Refuse to put side by side what was not tested on the same clips.

    Args:
        methods (Iterable[Sequence[Result]]): Tests of the runs of each.

    Raises:
        ValueError: They differ in data set, folds, weights to start from,
            sampling, or in the rule by which the checkpoints were chosen.
    """
    methods = list(methods)
    names = ('dataset', 'subset', 'fold', 'selection')
    for name in (*names, 'pretraining', 'sampling'):
        found = [_values(results, name) for results in methods]
        if any(values != found[0] for values in found):
            told = ' and '.join(', '.join(values) for values in found)
            raise ValueError(
                f'methods side by side must agree in {name}, got {told}; '
                f'choose tests with --where {name}=..., or plot the methods '
                'one by one'
            )
    clips = [_clips(results) for results in methods]
    if any(other != clips[0] for other in clips):
        raise ValueError(
            'methods side by side must be tested on the same clips, but the '
            'numbers of clips of the classes differ; was one tested with '
            '--missing drop, or on another set?'
        )


def _clips(results: Sequence[Result]) -> dict[str, set[tuple[int, ...]]]:
    """Numbers of clips of each class that were tested, by fold."""
    found: dict[str, set] = {}
    for result in results:
        clips = tuple(result.matrix.sum(dim=1).tolist())
        found.setdefault(str(result.record.get('fold')), set()).add(clips)
    return found


def _values(results: Sequence[Result], name: str) -> list[str]:
    """What the records say, each different text once."""
    return sorted({str(r.record.get(name) or '') for r in results})


def results_of_rows(
    path: Path, method: str, where: Optional[dict[str, str]] = None
) -> list[Result]:
    """Take the rows of one method from a file of ``results``.

    Args:
        path (Path): CSV file of result rows.
        method (str): What stands in the column ``method``.
        where (dict[str, str], optional): Further columns and what must stand
            in them. Defaults to None.

    Raises:
        ValueError: No such row or column, or rows that are no replicates of
            each other.
    """
    rows = read_rows(path)
    unknown = sorted({*(where or {})}.difference(COLUMNS))
    if unknown:
        raise ValueError(
            f'{path}: has no column {unknown[0]!r}; choose rows by '
            f'{", ".join(COLUMNS[:12])}'
        )
    wanted = {'method': method, **(where or {})}
    found = []
    for row in rows:
        if any(row.cells.get(name) != text for name, text in wanted.items()):
            continue
        matrix = read_matrix(row.cells['confusion_matrix'])
        found.append(Result(tuple(CLASSES), matrix, row.cells))
    if not found:
        methods = sorted({row.cells['method'] for row in rows})
        raise ValueError(
            f'{path} has no row of {wanted}; its methods are '
            f'{", ".join(methods)}'
        )
    check_alike(found, f'choose rows of {method} with --where {{}}=...')
    return found
