"""Fresh runs: the records below work folders, as rows."""

from collections.abc import Iterable
from pathlib import Path

from .record import FILE_NAME, read_record, row_of
from .row_checks import CLASSES, problems
from .rows import ResultRow


def read_runs(folders: Iterable[Path]) -> list[ResultRow]:
    """Find every ``result.json`` below some folders.

    Args:
        folders (Iterable[Path]): Work folders.

    Returns:
        list[ResultRow]: Sorted by path; ``group`` is empty.

    Raises:
        FileNotFoundError: A folder is absent or holds no result.
        ValueError: A record is none, is of other classes, or makes no good
            row; one line ``file: what is wrong`` for every problem.
    """
    paths: list[Path] = []
    for folder in map(Path, folders):
        found = sorted(folder.rglob(FILE_NAME))
        if not found:
            raise FileNotFoundError(
                f'there is no {FILE_NAME} below {folder}; test a checkpoint '
                'with tools/test.py or tools/kfold.py first'
            )
        paths += [path for path in found if path not in paths]
    rows, wrong = [], []
    for path in paths:
        try:
            row = _read_run(path)
        except (
            *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
            OverflowError,
        ) as error:
            wrong.append(f'{path}: is no record of a run: {error}')
            continue
        wrong += [f'{path}: {problem}' for problem in problems(row.cells)]
        rows.append(row)
    if wrong:
        raise ValueError(
            '\n'.join([*wrong, 'name folders that hold none of these'])
        )
    return rows


def _read_run(path: Path) -> ResultRow:
    record = read_record(path)
    if tuple(record['classes']) != tuple(CLASSES):
        raise ValueError(
            f'its classes must be {", ".join(CLASSES)} in this order, got '
            f'{", ".join(map(str, record["classes"]))}'
        )
    return ResultRow(row_of(record), str(path))
