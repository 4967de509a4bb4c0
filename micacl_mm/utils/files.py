"""CSV files in, whole files out."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, dict[str, str]]]:
    """Read a CSV file that must have exactly these columns.

    Args:
        path (Path): The file, UTF-8, commas, a header.
        columns (Sequence[str]): The header.
        optional (Sequence[str]): Those that may be absent, and are then
            empty. Defaults to ().

    Returns:
        list[tuple[str, dict[str, str]]]: ``file:line`` and cells of each row.

    Raises:
        ValueError: The file is no such table; each message has file and line.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: must be UTF-8 text, got byte {error.start} that is '
            'none; save it as UTF-8'
        ) from None
    reader = csv.reader(io.StringIO(text, newline=''), strict=True)
    lines, rows, wrong = [], [], []
    first = 1
    try:
        for cells in reader:
            lines.append((f'{path}:{first}', cells))
            first = reader.line_num + 1
    except csv.Error as error:
        wrong.append(f'{path}:{first}: {error}; mend quotes and commas')
    header = lines[0][1] if lines else []
    wanted = [c for c in columns if c in header or c not in optional]
    if header != wanted:
        raise ValueError(f'{path}:1: {_header_problem(header, columns)}')
    blank = dict.fromkeys(columns, '')
    for origin, cells in lines[1:]:
        if len(cells) == len(header):
            rows.append(
                (origin, blank | dict(zip(header, cells, strict=True)))
            )
        elif cells:
            wrong.append(
                f'{origin}: must have {len(header)} cells, got {len(cells)}; '
                'quote cells that hold commas'
            )
    if wrong:
        raise ValueError('\n'.join(wrong))
    return rows


def _header_problem(found: Sequence[str], columns: Sequence[str]) -> str:
    missing = [name for name in columns if name not in found]
    foreign = [name for name in found if name not in columns]
    if missing or foreign:
        what = '; '.join(
            f'{what} {", ".join(map(repr, names))}'
            for what, names in (('missing', missing), ('unknown', foreign))
            if names
        )
    else:
        what = 'they stand in another order or twice'
    return (
        f'the columns are not those of results/README.md: {what}; write the '
        f'header {",".join(columns)}'
    )


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole or not at all; its folder is made."""
    with replacing(path) as part:
        part.write_text(text, encoding='utf-8', newline='\n')


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file as a whole or not at all; its folder is made.

    Yields:
        Path: where to write; it takes the place of the file in the end,
        unless there was an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield part
        with open(part, 'rb+') as stream:
            os.fsync(stream.fileno())  # else a power cut may leave it empty
        os.replace(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a new name survive a power cut, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
