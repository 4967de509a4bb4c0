"""Check machine, installation, data and model before a training.

Usage: python tools/doctor.py [CONFIG] [--data-root DIR] [--decode all]
           [--checkpoint FILE] [--json FILE] [--strict]

       python tools/doctor.py
       python tools/doctor.py configs/micacl_dfew.py --data-root /data/DFEW
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def stand_in() -> None:
    """Let the doctor be imported where the package around it cannot."""
    spec = find_spec('micacl_mm')
    beside = Path(__file__).parents[1] / 'micacl_mm'
    package = ModuleType('micacl_mm')
    package.__path__ = (
        list(spec.submodule_search_locations) if spec else [str(beside)]
    )
    sys.modules['micacl_mm'] = package


def main() -> int:
    """Run the doctor, on the installation alone if that is broken."""
    broken = None
    try:
        import micacl_mm  # noqa: F401  registers everything
    except Exception as error:  # whatever a broken stack raises
        broken = error
        stand_in()
    from micacl_mm.doctor.command import main as examine

    return examine(broken=broken)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
