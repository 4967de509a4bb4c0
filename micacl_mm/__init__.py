"""MICACL for MMAction2: dynamic facial expression recognition as MIL.

``import micacl_mm`` registers everything in MMAction2's registries; the public
classes also stand here, so that ``type='micacl_mm.GEIIM'`` works without any
import line in a config.
"""

from .environment import check_versions

check_versions()

from . import compat  # noqa: E402

compat.apply()

from . import datasets, engine, evaluation, models  # noqa: E402
