"""Check the versions of the stack and name the cure, before importing it."""

import re
from importlib import metadata

# distribution names (either satisfies), lowest version, first refused version
SUPPORTED = (
    (('torch',), '2.6', '3'),
    (('mmengine', 'mmengine-lite'), '0.10.3', '1'),
    (('mmcv', 'mmcv-lite'), '2.0.0', '2.2.0'),
    (('mmaction2',), '1.2.0', '2'),
)
_CURES = {
    'torch': 'pip install "torch>=2.6"',
    'mmengine': 'pip install mmengine==0.10.7',
    'mmcv': 'pip install mmcv-lite==2.1.0',
    'mmaction2': 'pip install mmaction2==1.2.0',
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


def check_versions() -> None:
    """Refuse a stack that is known not to work.

    Raises:
        ImportError: torch, mmengine, mmcv or mmaction2 is missing, outside
            the supported range, or installed twice. The message is one
            sentence and ends with the command that mends it.
    """
    for names, lowest, refused in SUPPORTED:
        cure = f'run: {_CURES[names[0]]}'
        found = _installed(names)
        if not found:
            raise ImportError(
                f'micacl_mm needs {names[0]}>={lowest},<{refused}, which is '
                f'not installed; {cure}'
            )
        if len(found) > 1:
            raise ImportError(
                f'micacl_mm found both {" and ".join(found)}, which overwrite '
                f'each other; run: pip uninstall -y {" ".join(found)} && '
                f'{_CURES[names[0]]}'
            )
        version = next(iter(found.values()))
        inside = _numbers(lowest) <= _numbers(version) < _numbers(refused)
        if not inside:
            raise ImportError(
                f'micacl_mm needs {names[0]}>={lowest},<{refused}, but '
                f'{version} is installed; {cure}'
            )
