"""WIAN on Video Swin-T with its rates, 4 instances of 8 frames.

Inherit from ``micacl_mm.configs.mixing.wian_swin_dfew``; run your file
with ``python -m micacl_mm train FILE --auto-scale-lr``.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.dfew_32x224 import *
    from .._base_.default_runtime import *
    from .._base_.models.swin_tiny import *
    from .._base_.schedules.adamw_300e import *

from mmaction.engine.optimizers import SwinOptimWrapperConstructor
from mmengine.optim import CosineAnnealingLR, LinearLR

from micacl_mm import WIAN

model.update(
    neck=dict(type=WIAN, in_channels=768, num_instances=4),
    cls_head=dict(in_channels=1024, num_classes=7),
)
train_cfg.update(max_epochs=100)
warmup = dict(type=LinearLR, start_factor=0.01, end=5)
cosine = dict(type=CosineAnnealingLR, begin=5, end=100)
param_scheduler = [warmup, cosine]
no_decay = dict(decay_mult=0.0)
keys = dict(norm=no_decay, relative_position_bias_table=no_decay)
optim_wrapper.update(
    optimizer=dict(lr=1e-3, weight_decay=0.02),
    constructor=SwinOptimWrapperConstructor,
    paramwise_cfg=dict(backbone=dict(lr_mult=0.1), **keys),
)
auto_scale_lr.update(base_batch_size=64)
