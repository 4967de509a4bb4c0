"""MICACL on your own classes, as many as there are folders.

See docs/own_data.md.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.datasets.class_folder import *
    from ._base_.default_runtime import *
    from ._base_.models.micacl_r3d18 import *
    from ._base_.schedules.adamw_50e import *

model.update(
    neck=dict(aux_loss=dict(num_classes=num_classes)),
    cls_head=dict(num_classes=num_classes),
)
