"""Errors that name the problem and its fix."""

from collections.abc import Sequence
from numbers import Integral

#: Largest size or count that an argument may have.
MAX_COUNT = 10**6


class MICACLError(Exception):
    """An error of the user's side, with a fix.

    Args:
        problem (str): What is wrong and where, without a full stop.
        cure (str): What to do, as an imperative. Defaults to ''.

    Example:
        >>> raise ConfigError("val_ratio must be in [0, 1), got 'x'",
        ...                   'use 0.1 to hold out 10 % of each class')
        ConfigError: val_ratio must be in [0, 1), got 'x'. Fix: use 0.1 ...
    """

    def __init__(self, problem: str, cure: str = '') -> None:
        super().__init__(problem, cure)
        self.problem = problem
        self.cure = cure

    def __str__(self) -> str:
        fix = f'. Fix: {self.cure}.' if self.cure else ''
        return f'{self.problem}{fix}'


class ConfigError(MICACLError, ValueError):
    """An option or argument has a wrong value."""


class DataError(MICACLError, ValueError):
    """Files of a data set are not what they should be."""


class MissingFileError(MICACLError, FileNotFoundError):
    """A file or folder is absent."""


class DependencyError(MICACLError, ImportError):
    """A package is absent or of an unsupported version."""


def check_count(owner: str, least: int = 1, **counts: int) -> None:
    """Check that arguments of a class are whole numbers in a sensible range.

    Raises:
        ConfigError: A value is no whole number, below ``least`` or above
            :data:`MAX_COUNT`.
    """
    for name, value in counts.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not (whole and least <= value <= MAX_COUNT):
            raise ConfigError(
                f'{owner}: {name} must be at least {least} and at most '
                f'{MAX_COUNT}, got {value!r}'
            )


def check_choice(owner: str, choices: Sequence[str], **given: str) -> None:
    """Check that arguments of a class are among the known ones.

    Raises:
        ConfigError: A value is not known.
    """
    for name, value in given.items():
        if value not in choices:
            known = ', '.join(map(repr, choices))
            raise ConfigError(
                f'{owner}: {name} must be one of {known}, got {value!r}'
            )
