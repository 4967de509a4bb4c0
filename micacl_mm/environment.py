"""Check the versions of the stack before importing it."""

import multiprocessing
import os
import re
import sys
from importlib import metadata
from importlib.util import find_spec

from .errors import DependencyError

# distribution names (either satisfies), lowest version, first refused version,
# what to install
SUPPORTED = (
    (('torch',), '2.6', '3', '"torch>=2.6"'),
    # Private members in use: registry.py, hooks/.
    (('mmengine', 'mmengine-lite'), '0.10.3', '0.11', 'mmengine==0.10.7'),
    (('mmcv', 'mmcv-lite'), '2.0.0', '2.2.0', 'mmcv-lite==2.1.0'),
    (('mmaction2',), '1.2.0', '2', 'mmaction2==1.2.0'),
)
#: As ``python_requires`` of setup.py, which a PYTHONPATH goes past.
PYTHONS = ((3, 10), (3, 12))
#: What the stack imports without asking for it, and the cure.
_UNASKED = {
    'pkg_resources': '"setuptools>=77.0.3,<82"',
    'importlib_metadata': 'importlib-metadata',
}


def _numbers(version: str) -> tuple[int, ...]:
    """``'2.13.0+cpu'`` -> ``(2, 13, 0)``."""
    return tuple(map(int, re.findall(r'\d+', version.split('+')[0])[:3]))


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def is_command() -> bool:
    """Whether Python was started as ``micacl`` or ``python -m micacl_mm``.

    Its help, and its doctor, must work where the stack does not.
    """
    if multiprocessing.parent_process() is not None:
        return False  # a worker, which unpickles what is registered
    script = sys.argv[0] if sys.argv else ''
    if script == '-m':  # while Python imports the package of -m
        start = sys.orig_argv.index('-m') if '-m' in sys.orig_argv else -1
        return sys.orig_argv[start + 1 : start + 2] == ['micacl_mm']
    return os.path.basename(script) in ('micacl', 'micacl.exe')


def check_versions() -> None:
    """Refuse a stack that is known not to work.

    Raises:
        DependencyError: Python, torch, mmengine, mmcv or mmaction2 is
            missing, outside the supported range, or installed twice, or a
            module is missing that these import.
    """
    low, high, ours = (
        '.'.join(map(str, version))
        for version in (*PYTHONS, sys.version_info[:2])
    )
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        raise DependencyError(
            f'micacl_mm needs Python {low} to {high}, but this is {ours}',
            f'run: python{high} -m venv .venv, and install it there',
        )
    for names, lowest, refused, cure in SUPPORTED:
        found = _installed(names)
        version = next(iter(found.values()), 'none')
        if len(found) > 1:
            both = list(found)
            raise DependencyError(
                f'{" and ".join(both)} are both installed and overwrite each '
                'other',
                f'run: pip uninstall -y {" ".join(both)} && '
                f'pip install {cure}',
            )
        inside = _numbers(lowest) <= _numbers(version) < _numbers(refused)
        if not (found and inside):
            raise DependencyError(
                f'micacl_mm needs {names[0]}>={lowest},<{refused}, but '
                f'{version} is installed',
                f'run: pip install {cure}',
            )
    for module, cure in _UNASKED.items():
        if find_spec(module) is None:
            raise DependencyError(
                f'mmengine and mmaction2 import {module}, which is not '
                'installed',
                f'run: pip install {cure}',
            )
