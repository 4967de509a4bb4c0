"""Say in which settings two runs differ."""

import reprlib
from collections.abc import Mapping
from typing import Any


def differences(old: Any, new: Any, name: str = '') -> list[str]:
    """Say where two nested settings differ.

    Args:
        old: Mappings and lists within each other.
        new: As ``old``.
        name (str): Where they stand. Defaults to ''.

    Returns:
        list[str]: for instance ``['a.b 1, now 2']``.
    """
    lists = isinstance(old, list) and isinstance(new, list)
    if lists and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        said = f'{name} {reprlib.repr(old)}, now {reprlib.repr(new)}'
        return [] if old == new else [said]
    return [
        found
        for key in dict.fromkeys([*new, *old])
        for found in differences(
            old.get(key), new.get(key), f'{name}.{key}' if name else str(key)
        )
    ]
