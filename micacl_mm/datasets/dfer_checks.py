"""Checks of what a person hands to a dataset, and the errors they end in."""

import logging
import os
from collections.abc import Sequence
from numbers import Real
from typing import NoReturn

from mmengine.logging import print_log

from .splits import SplitRow, find_repeated, read_lines

RESTORE = 'restore the split file of the release'
LONGEST_ROW = 1000  # characters


class DFERChecks:
    """Checks and errors of :class:`BaseDFERDataset`.

    Each error says what is wrong and where, what to do, and how the set
    should lie on disk.
    """

    EXPECTED_TREE = ''
    ROOT_CURE = 'set data_root (--data-root) or clip_root (--clip-root DIR)'
    data_root = ''

    def parse_row(self, line: str) -> SplitRow:
        """Read one row of a split file; for sets that have such files.

        Raises:
            ValueError: With what is wrong about it, and no more.
        """
        raise NotImplementedError

    def read_lines(self, path: str) -> list[tuple[int, str]]:
        """Number and text of the lines of a split file that are not blank.

        Raises:
            ValueError: It is no such file.
        """
        try:
            return read_lines(path)
        except ValueError as error:
            self._raise(ValueError, str(error), RESTORE)

    def parse_rows(
        self, path: str, lines: Sequence[tuple[int, str]]
    ) -> list[SplitRow]:
        """Read the rows of a split file.

        Args:
            path (str): The file, for messages.
            lines (Sequence[tuple[int, str]]): Line number and text of each
                row.

        Raises:
            ValueError: For a wrong row, for a clip that is listed twice, and
                if there is no row.
        """
        if not lines:
            self._raise(
                ValueError,
                f'{path} must list at least one clip, got none',
                RESTORE,
            )
        rows = []
        for number, line in lines:
            if len(line) > LONGEST_ROW or '\0' in line:
                self._raise_row(
                    path,
                    number,
                    f'a row must be text of at most {LONGEST_ROW} characters, '
                    f'got {len(line)}, {line[:40]!r} ..',
                )
            try:
                rows.append(self.parse_row(line))
            except ValueError as error:
                self._raise_row(path, number, str(error))
        names = [row.video_id for row in rows]
        numbers = [number for number, _ in lines]
        twice = find_repeated(list(zip(numbers, names, strict=True)))
        if twice:
            listed = [
                f'{name} (lines {", ".join(map(str, found))})'
                for name, found in twice.items()
            ]
            self._raise_row(
                path,
                next(iter(twice.values()))[1],
                f'each clip must be listed once, got {len(twice)} of them '
                f'more often: {shorten(listed)}',
            )
        return rows

    def _check_args(self) -> None:
        self._check_choice('split', self.split, ('train', 'val', 'test'))
        self._check_choice('source', self.source, ('frames', 'videos'))
        self._check_choice('missing', self.missing, ('raise', 'drop'))
        self._check_ratio('val_ratio', self.val_ratio)
        self._check_has_val()

    def _check_ratio(self, name: str, value: object) -> None:
        # A config's environment variable in quotes arrives as text.
        if not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(
                f'{type(self).__name__}: {name} must be a number in [0, 1), '
                f'got {value!r}; do set 0.1, say, which holds out a tenth of '
                'each class.'
            )

    def _check_has_val(self) -> None:
        if self.split == 'val' and self.val_ratio == 0:
            raise ValueError(
                f"{type(self).__name__}: with split='val' val_ratio must be "
                'above 0, got 0, as the set has no validation split; do set '
                "the same val_ratio, say 0.1, here and for split='train'."
            )

    def _check_root(self) -> None:
        if not os.path.isdir(self.data_root):
            self._raise_not_found(
                f'data_root {self.data_root} does not exist or is no folder',
                'set data_root (--data-root DIR)',
            )

    def _check_choice(self, name: str, value: object, choices: tuple) -> None:
        if value not in choices:
            self._raise(
                ValueError,
                f'{name} must be one of {", ".join(map(repr, choices))}, got '
                f'{value!r} (data_root {self.data_root})',
                'choose one of these',
            )

    def _report_missing(self, gone: list[str], total: int) -> None:
        if not gone:
            return
        most = 2 * len(gone) > total
        drop = self.missing == 'drop' and not most
        text = f'{len(gone)} of {total} clips are missing'
        end = " Dropped by missing='drop'." if drop else ''
        print_log(
            f'{type(self).__name__}: {text}: {", ".join(gone)}.{end}',
            logger='current',
            level=logging.WARNING,
        )
        if drop:
            return
        cure = (
            "unpack them again, or set missing='drop' (--missing drop) to go "
            'on without'
        )
        if most:
            text += ' (more than half, so probably a wrong folder)'
            cure = self.ROOT_CURE
        self._raise_not_found(
            f'{text}: {shorten(gone)}; the log names all of them; the clips '
            f'were taken from {self.layout}',
            cure,
        )

    def _raise_row(self, path: str, number: int, problem: str) -> NoReturn:
        self._raise(ValueError, f'{path}, line {number}: {problem}', RESTORE)

    def _raise_not_found(self, problem: str, cure: str) -> NoReturn:
        self._raise(FileNotFoundError, problem, cure)

    def _raise(self, kind: type, problem: str, cure: str) -> NoReturn:
        # `from None`: the message is the whole story.
        raise kind(
            f'{type(self).__name__}: {problem}; do {cure}. Expected tree:\n'
            f'{self.EXPECTED_TREE}'
        ) from None


def shorten(names: Sequence[str], most: int = 10) -> str:
    """The first few of many names."""
    return ', '.join(names[:most]) + (', ...' if names[most:] else '')
