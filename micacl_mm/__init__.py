"""MICACL for MMAction2: dynamic facial expression recognition as MIL.

``import micacl_mm`` makes everything known to MMAction2's registries. Public
classes are attributes of the package, so that ``type='micacl_mm.GEIIM'`` works
without an import line in a config. Modules are imported on first use.
"""

from importlib import import_module
from typing import Any

from .environment import check_versions, is_command
from .version import __version__

#: All that these offer is public, and these of the others.
_WHOLE = ('models', 'datasets', 'evaluation', 'hooks')
_MORE = {
    'apis': ('DFERInferencer', 'explain', 'occlusion'),
    'faces': ('CenterFaceDetector', 'CropFaces', 'HaarFaceDetector'),
}
_registered = False


def register() -> None:
    """Check the stack, apply the cures, and register all classes.

    Called by the import of this package; the command line calls it once it
    knows that it needs more than its help.

    Raises:
        ImportError: The stack is known not to work.
    """
    global _registered
    if _registered:
        return
    check_versions()
    from . import compat

    compat.apply()
    from .registry import add_locations

    add_locations()
    _registered = True


def __getattr__(name: str) -> Any:
    if name == '__all__':
        return ['__version__', 'register', *_public()]
    room = next((room for room in _MORE if name in _MORE[room]), None)
    if room or name[0].isupper():
        register()
        for place in (room,) if room else _WHOLE:
            module = import_module(f'{__name__}.{place}')
            if room or name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _public() -> list[str]:
    register()
    modules = [import_module(f'{__name__}.{room}') for room in _WHOLE]
    return sorted(
        name
        for names in (*(module.__all__ for module in modules), *_MORE.values())
        for name in names
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})


if not is_command():
    register()
