"""The checks, a topic a module, registered when they are imported."""

from __future__ import annotations

from importlib import import_module

from ..registry import CHECKS

#: Of the installation alone, in the order of the report; imports nothing
#: that may be broken.
INSTALL = ('install',)
#: All others.
REST = (
    'graphics',
    'configs',
    'decoding',
    'loaders',
    'classes',
    'splits',
    'presence',
    'files',
    'training',
    'resources',
)


def load(*, whole: bool) -> None:
    """Register the checks.

    Args:
        whole (bool): Also those that need the rest of the package.
    """
    names = (*INSTALL, *(REST if whole else ()))
    modules = [import_module(f'{__name__}.{name}') for name in names]
    # Somebody may have imported one of them before the others.
    order = {module.__name__: place for place, module in enumerate(modules)}
    checks = sorted(
        CHECKS.values(), key=lambda it: order.get(it.module, len(order))
    )
    CHECKS.clear()
    CHECKS.update((check.name, check) for check in checks)
