"""MICACL on DFEW."""

from mmengine.config import read_base

with read_base():
    from ._base_.datasets.dfew import *
    from ._base_.default_runtime import *
    from ._base_.models.micacl_r3d18 import *
    from ._base_.schedules.adamw_300e import *
