"""What a check found."""

from __future__ import annotations

import re
from typing import NamedTuple

from micacl_mm.errors import MICACLError

PASS, WARN, FAIL, SKIP = STATUSES = ('PASS', 'WARN', 'FAIL', 'SKIP')

#: Where an error of this package turns to what is to be done.
_CURE = re.compile(
    '; (?=(?:add|choose|do|get|give|install|make|mend|restore|run:|set|take'
    '|use) )'
)


class Finding(NamedTuple):
    """A line of the doctor's report.

    Attributes:
        status (str): ``'PASS'``, ``'WARN'``, ``'FAIL'`` or ``'SKIP'``.
        found (str): What was found, in a sentence.
        cure (str): What to do about it; of WARN and FAIL.
        name (str): That of the check, which the runner fills in.
    """

    status: str
    found: str
    cure: str = ''
    name: str = ''


def passed(found: str) -> Finding:
    """All is well."""
    return Finding(PASS, found)


def warned(found: str, cure: str) -> Finding:
    """It works, but not as well or not as meant."""
    return Finding(WARN, found, cure)


def failed(found: str, cure: str) -> Finding:
    """It does not work, or gives wrong figures."""
    return Finding(FAIL, found, cure)


def skipped(why: str) -> Finding:
    """It was not looked at."""
    return Finding(SKIP, why)


def blamed(error: BaseException, cure: str) -> Finding:
    """A FAIL with an error's own words.

    Errors of this package say ``'<what is wrong>; do <cure>. Expected tree:
    ..'``: the cure is taken from there.

    Args:
        error (BaseException): The error.
        cure (str): What to do if the error does not say.
    """
    if isinstance(error, MICACLError):
        return failed(shorten(error.problem), shorten(error.cure) or cure)
    text = str(error).partition(' Expected tree:')[0]
    cut = _CURE.search(text)
    found = text[: cut.start()] if cut else text
    told = text[cut.end() :].removeprefix('do ') if cut else ''
    told = told.removeprefix('run: ')
    kind = type(error).__name__
    found = shorten(found)
    plain = isinstance(error, (ValueError, OSError, ImportError)) and found
    found = found if plain else f'{kind}: {found}' if found else kind
    return failed(found, shorten(told).rstrip('.') or cure)


def shorten(text: str, most: int = 400) -> str:
    """Text on one line, cut where it gets too long."""
    line = ' '.join(str(text).split())
    return line if len(line) <= most else line[: most - 3] + '...'


def number(count: int, what: str) -> str:
    """``'1 clip'``, ``'2 clips'``."""
    return f'{count} {what}' if count == 1 else f'{count} {what}s'


def some(names: list[str], most: int = 3) -> str:
    """The first few of many names, and how many there are more."""
    more = f' and {len(names) - most} more' if names[most:] else ''
    return ', '.join(names[:most]) + more
