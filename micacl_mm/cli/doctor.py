"""Check machine, installation, data and model before a training."""

from collections.abc import Sequence
from typing import Optional


def main(argv: Sequence[str], broken: Optional[BaseException] = None) -> int:
    """Examine; the installation alone where the package is broken."""
    from micacl_mm.doctor.command import main as examine

    return examine(argv, broken=broken)
