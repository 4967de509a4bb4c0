"""Say in which settings two runs differ."""

import reprlib
from collections.abc import Mapping
from typing import Any


def differences(old: Any, new: Any, name: str = '') -> list[str]:
    """Say where two nested settings differ.

    Args:
        old: Of mappings only the keys of ``new`` matter at the top.
        new: As ``old``.
        name (str): Where they stand. Defaults to ''.

    Returns:
        list[str]: for instance ``['a.b 1, now 2']``.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*new, *(old if name else ())])
        pairs = [(key, old.get(key), new.get(key)) for key in keys]
    elif (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
    ):
        pairs = list(zip(range(len(old)), old, new, strict=True))
    else:
        return (
            []
            if old == new
            else [f'{name} {reprlib.repr(old)}, now {reprlib.repr(new)}']
        )
    return [
        found
        for key, a, b in pairs
        for found in differences(a, b, f'{name}.{key}' if name else str(key))
    ]
