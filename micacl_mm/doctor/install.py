"""Versions, and what is known to break with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Optional

from micacl_mm.environment import check_versions
from micacl_mm.version import __version__

from .core import Case, Finding, check

_NEW = "create a new environment and run: pip install '.[stack]'"
_OPENCV = (
    'opencv-python',
    'opencv-contrib-python',
    'opencv-python-headless',
    'opencv-contrib-python-headless',
)


def version_of(name: str) -> Optional[str]:
    """Version of an installed distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@check('versions')
def versions(case: Case) -> Iterator[Finding]:
    """The versions that ``import micacl_mm`` checks."""
    try:
        check_versions()
    except ImportError as error:
        yield Finding.blamed(error, _NEW)
        return
    names = ('torch', 'mmengine', 'mmcv', 'mmcv-lite', 'mmaction2', 'numpy')
    known = {name: version_of(name) for name in names}
    listed = [f'{name} {found}' for name, found in known.items() if found]
    python = '.'.join(map(str, sys.version_info[:2]))
    yield Finding.passed(f'Python {python}, {", ".join(listed)}')


@check('import')
def imports(case: Case) -> Iterator[Finding]:
    """The package can be imported."""
    if case.broken is None:
        yield Finding.passed(f'micacl_mm {__version__}')
        return
    finding = Finding.blamed(case.broken, _NEW)
    yield Finding.failed(f'micacl_mm fails: {finding.found}', finding.cure)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r'\d+', version.split('+')[0])[:2]))


#: Of which package which versions, what is wrong with them, and the fix.
_PROBLEMS = (
    (
        'numpy',
        lambda version: version >= (2,),
        'pose, AVA and retrieval code of MMAction2 needs NumPy 1',
        'pip install "numpy>=1.26,<2"',
    ),
    (
        'torch',
        lambda version: version > (2, 13),
        'newer than 2.13, the last one tested',
        'pip install "torch<=2.13.99" if something fails',
    ),
    (
        'torch',
        lambda version: version < (2, 10),
        'a checkpoint can corrupt memory even with weights_only '
        '(CVE-2026-24747)',
        'load no checkpoints from unknown sources, or pip install '
        '"torch>=2.10"',
    ),
)


@check('known problems')
def problems(case: Case) -> Iterator[Finding]:
    """What is broken in some versions of the stack."""
    found = [
        Finding.warned(f'{name} {version}: {text}', cure)
        for name, is_bad, text, cure in _PROBLEMS
        if (version := version_of(name)) and is_bad(_numbers(version))
    ]
    yield from [*found, *_opencv()] or [Finding.passed('none')]


def _opencv() -> Iterator[Finding]:
    there = {name: version_of(name) for name in _OPENCV}
    there = {name: version for name, version in there.items() if version}
    if len(set(there.values())) > 1:
        listed = [f'{name} {version}' for name, version in there.items()]
        newest = there.get('opencv-python', '4.11.0.86')
        wanted = ' '.join(f'{name}=={newest}' for name in there)
        yield Finding.warned(
            f'{" and ".join(listed)} overwrite each other',
            f'pip install {wanted}',
        )
