"""Say in a sentence which argument of a constructor is of a wrong type."""

import functools
import inspect
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import MAX_COUNT as MOST
from .errors import check_choice, check_count

__all__ = [
    'MOST',
    'check_choice',
    'check_count',
    'checked_arguments',
    'describe',
    'fits',
]

Class = TypeVar('Class', bound=type)

#: What fits a plain type in a config: numbers of NumPy are numbers.
_PLAIN = {int: Integral, float: Real, bool: (bool, np.bool_), str: str}


def checked_arguments(cls: Class) -> Class:
    """Check the arguments of a class against its type hints.

    A config hands over what its author wrote, text from the environment for
    instance, and would fail somewhere within torch. To be put below
    ``register_module``. Values are for the class itself to check.

    Args:
        cls (type): Its ``__init__`` is replaced.

    Returns:
        type: The same class; it then raises a TypeError with its name, the
        argument, what that must be and what it was.

    Example:
        >>> GEIIM(in_channels='512')
        TypeError: GEIIM: in_channels must be int, got '512'
    """
    init = cls.__init__
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self, *args, **kwargs) -> None:
        name = type(self).__name__
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f'{name}: {error}') from None
        hints = get_type_hints(init)
        for argument, value in given.items():
            hint = hints.get(argument, Any)
            kind = signature.parameters[argument].kind
            if kind is kind.VAR_KEYWORD or argument == 'init_cfg':
                continue  # of a base class, or MMEngine's own
            if not fits(value, hint):
                raise TypeError(
                    f'{name}: {argument} must be {describe(hint)}, got '
                    f'{reprlib.repr(value)}'
                )
        init(self, *args, **kwargs)

    cls.__init__ = checked
    return cls


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; of types unknown here all values are."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if hint in _PLAIN:
        flag = hint is not bool and isinstance(value, (bool, np.bool_))
        return isinstance(value, _PLAIN[hint]) and not flag
    base = origin or hint
    if base is Callable:
        return callable(value)
    if base in (Any, object) or not isinstance(base, type):
        return True
    if issubclass(base, Mapping):
        return isinstance(value, Mapping)
    if issubclass(base, Sequence):  # lists and tuples stand for each other
        inner = next((p for p in parts if p is not Ellipsis), Any)
        if isinstance(value, str):  # which is a sequence of texts
            return inner is str
        plain = isinstance(value, (list, tuple))
        return plain and all(fits(item, inner) for item in value)
    return isinstance(value, base)


def describe(hint: Any) -> str:
    """Name a type as a person would."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(map(describe, parts)))
    if hint is type(None):
        return 'None'
    base = origin or hint
    if base is Callable or not isinstance(base, type):
        return 'a function' if base is Callable else str(hint)
    if issubclass(base, Mapping):
        return 'a dict'
    if issubclass(base, Sequence) and base is not str:
        inner = [p for p in parts if p is not Ellipsis]
        return 'a list' + (f' of {describe(inner[0])}' if inner else '')
    return base.__name__
