"""Files that cannot be read, and the list of them."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from micacl_mm.utils.files import write_text

#: The list, in the work directory: an object a line.
LIST = 'bad_files.jsonl'


class BadFileError(ValueError):
    """A file of a clip cannot be read.

    Workers hand errors on by their message, so that is all of it.
    """

    path, reason = '', ''
    #: Files of the clip's frames, as far as they are known and worth a look.
    frames: Sequence[str] = ()

    @classmethod
    def of(cls, path: str, reason: str) -> 'BadFileError':
        """Make the error of a file."""
        error = cls(f'{path} {reason}')
        error.path, error.reason = path, reason
        return error


class BadFileList:
    """The list of bad files, which many processes add to.

    Each process of a training has a file of its own, to which its workers
    append lines; the first process joins them in :data:`LIST`, which is
    always whole. A file stands in it once, however often, by whomever and in
    however many attempts of a training it was met.

    Args:
        folder (str): The work directory.
        rank (int): Of this process.
    """

    def __init__(self, folder: str, rank: int) -> None:
        self.folder = folder
        self.rank = rank
        self.known: set[str] = {row['path'] for row in self.read()}

    def clear(self) -> None:
        """Begin anew. For all processes; the first one removes the files."""
        self.known.clear()
        if self.rank == 0:
            for path in self._parts():
                path.unlink(missing_ok=True)
            Path(self.folder, LIST).unlink(missing_ok=True)

    def read(self) -> list[dict[str, Any]]:
        """What is in the list now."""
        return _rows([Path(self.folder, LIST)])

    def add(self, row: dict[str, Any]) -> None:
        """Add a bad file; its ``path`` is the key."""
        if row['path'] in self.known:
            return
        self.known.add(row['path'])
        # Lines between empty ones: a kill may leave part of the one before.
        line = f'\n{json.dumps(row)}\n'.encode()
        path = Path(self.folder, f'.{LIST}.rank{self.rank}')
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(number, line)
        finally:
            os.close(number)

    def join(self) -> list[dict[str, Any]]:
        """Bring the list up to date. For the first process.

        Returns:
            list[dict[str, Any]]: what is new in it, by path.
        """
        rows = self.read()
        old = {row['path'] for row in rows}
        found = {row['path']: row for row in _rows(self._parts())}
        new = [found[path] for path in sorted(found) if path not in old]
        if new:
            text = ''.join(f'{json.dumps(row)}\n' for row in [*rows, *new])
            write_text(Path(self.folder, LIST), text)
        self.known |= old | found.keys()
        return new

    def _parts(self) -> list[Path]:
        return sorted(Path(self.folder).glob(f'.{LIST}.rank*'))


def _rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    rows = []
    for path in paths:
        text = path.read_text() if path.is_file() else ''
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # a kill has cut it off; it is met again
            if isinstance(row, dict) and isinstance(row.get('path'), str):
                rows.append(row)
    return rows
