"""All faults that are planted."""

from . import config_faults, data_faults, machine_faults  # noqa: F401
from .planting import FAULTS, Fault, package

__all__ = ['FAULTS', 'Fault', 'package']
