"""The list of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .case import Case
from .finding import Finding

Look = Callable[[Case], Iterator[Finding]]


class Check(NamedTuple):
    """A check: what it does, what it builds upon, and its module."""

    name: str
    look: Look
    needs: tuple[str, ...] = ()
    module: str = ''


#: All checks, by name, in the order in which they run.
CHECKS: dict[str, Check] = {}


def check(name: str, *needs: str) -> Callable[[Look], Look]:
    """Register a check.

    Args:
        name (str): For the report.
        *needs (str): Names of earlier checks. Where one of them failed or was
            skipped there is nothing to look at, and this one is skipped.
            Every check of a config has such needs.

    Example:
        >>> @check('weather')
        ... def weather(case):
        ...     yield passed('fine')
    """

    def register(look: Look) -> Look:
        CHECKS[name] = Check(name, look, needs, look.__module__)
        return look

    return register
