"""Versions, what is known to break with them, and packages at odds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from micacl_mm.environment import check_versions
from micacl_mm.version import __version__

from .. import facts
from ..case import Case
from ..finding import Finding, blamed, failed, passed, some, warned
from ..registry import check

PYTHONS = ((3, 10), (3, 12))
TESTED_TORCH = (2, 13)
SAFE_TORCH = (2, 10)
_NEW = "a new environment, and in it: pip install '.[stack]'"
_OPENCV = (
    'opencv-python',
    'opencv-contrib-python',
    'opencv-python-headless',
    'opencv-contrib-python-headless',
)


@check('python')
def python(case: Case) -> Iterator[Finding]:
    """The versions that setup.py admits."""
    version = facts.python_version()
    text = '.'.join(map(str, version))
    low, high = ('.'.join(map(str, v)) for v in PYTHONS)
    if PYTHONS[0] <= version <= PYTHONS[1]:
        yield passed(text)
    else:
        yield failed(
            f'{text}, but the stack was tested with {low} to {high}',
            f'make {_NEW}, with python{high}',
        )


@check('versions')
def versions(case: Case) -> Iterator[Finding]:
    """What ``import micacl_mm`` itself checks."""
    try:
        check_versions()
    except ImportError as error:
        yield blamed(error, f'make {_NEW}')
        return
    known = facts.packages()
    names = ('torch', 'mmengine', 'mmcv', 'mmcv-lite', 'mmaction2', 'numpy')
    listed = [f'{n} {known[n].version}' for n in names if n in known]
    yield passed(', '.join(listed))


@check('import')
def imports(case: Case) -> Iterator[Finding]:
    """Whether the package can be imported."""
    if case.broken is None:
        yield passed(f'micacl_mm {__version__} and mmaction.models')
    else:
        finding = blamed(
            case.broken, f'mend what stands above, or make {_NEW}'
        )
        yield finding._replace(
            found=f'micacl_mm cannot be imported: {finding.found}'
        )


@check('known breakages')
def breakages(case: Case) -> Iterator[Finding]:
    """What is broken in some versions of the stack."""
    wrong = [*_numpy(), *_setuptools(), *_torch()]
    yield from wrong
    if not wrong:
        cured = some(list(_cured()), 9)
        yield passed(f'cured in memory: {cured}' if cured else 'none')


def _numbers(version: str) -> tuple[int, ...]:
    head = version.split('+')[0].split('.')[:2]
    return tuple(int(part) for part in head if part.isdecimal())


def _numpy() -> Iterator[Finding]:
    version = facts.version('numpy') or '1'
    if _numbers(version) >= (2,):
        yield warned(
            f'numpy {version}: pose, AVA and retrieval code of MMAction2 '
            'needs NumPy 1',
            'pip install "numpy>=1.26,<2"',
        )


def _setuptools() -> Iterator[Finding]:
    version = facts.version('setuptools') or 'is absent'
    if not _numbers(version) or _numbers(version) >= (82,):
        yield failed(
            f'setuptools {version}: MMEngine imports pkg_resources, which '
            'later ones than 81 lack',
            'pip install "setuptools>=77.0.3,<82"',
        )


def _torch() -> Iterator[Finding]:
    version = facts.version('torch') or '0'
    if _numbers(version) > TESTED_TORCH:
        tested = '.'.join(map(str, TESTED_TORCH))
        yield warned(
            f'torch {version} is newer than {tested}, the last one tested',
            f'pip install "torch<={tested}.99" if something fails',
        )
    elif _numbers(version) < SAFE_TORCH:
        yield warned(
            f'torch {version}: a checkpoint can corrupt memory even when '
            'loaded by weights_only (CVE-2026-24747)',
            "load no strangers' checkpoints, or pip install "
            f'"torch>={".".join(map(str, SAFE_TORCH))}"',
        )


def _cured() -> Iterator[str]:
    """What ``compat.py`` has mended in this process."""
    if find_spec('mmaction'):
        root = Path(find_spec('mmaction').submodule_search_locations[0])
        if not (root / 'models' / 'localizers' / 'drn').exists():
            yield 'a module that this mmaction2 wheel lacks (drn)'
    if find_spec('transformers'):
        yield 'multimodal models, which break with transformers'
    compat = sys.modules.get('micacl_mm.compat')
    if getattr(compat, '_kept', None):
        yield 'operators of a torchvision that does not fit this torch'
    yield 'checkpoints that torch 2.6 and later refuse'


@check('conflicts')
def conflicts(case: Case) -> Iterator[Finding]:
    """Requirements that are not met, and packages that share their files."""
    try:
        from ..requirements import unmet
    except ImportError as error:
        yield blamed(error, 'pip install packaging')
        return
    known = facts.packages()
    problems = list(unmet(known))
    if problems:
        wanted = ' '.join(f'"{asked}"' for _, asked in problems)
        yield warned(
            some([text for text, _ in problems]), f'pip install {wanted}'
        )
    opencv = {n: known[n].version for n in _OPENCV if n in known}
    if len(set(opencv.values())) > 1:
        listed = [f'{name} {version}' for name, version in opencv.items()]
        newest = opencv.get('opencv-python', '4.11.0.86')
        wanted = ' '.join(f'{name}=={newest}' for name in opencv)
        yield warned(
            f'{" and ".join(listed)} overwrite each other',
            f'pip install {wanted}',
        )
    elif not problems:
        yield passed(f'none among {len(known)} packages')
