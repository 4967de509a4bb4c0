"""The whole MICACL on frames seen by CLIP, whose weights it needs.

Inherit from ``micacl_mm.configs.mixing.micacl_clip_dfew``; run your file
with ``python -m micacl_mm train FILE --auto-scale-lr``.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.dfew_16x224 import *
    from .._base_.default_runtime import *
    from .._base_.models.clip_vit_base import *
    from .._base_.schedules.adamw_300e import *

from mmengine.optim import CosineAnnealingLR, LinearLR

from micacl_mm import GEIIM, WIAN, MCCLLoss, NeckChain

geiim = dict(type=GEIIM, in_channels=768)
wian = dict(type=WIAN, in_channels=768)
mccl = dict(type=MCCLLoss, num_classes=7)
model.update(
    neck=dict(type=NeckChain, necks=[geiim, wian], aux_loss=mccl),
    cls_head=dict(in_channels=1024, num_classes=7),
)
train_cfg.update(max_epochs=100)
warmup = dict(type=LinearLR, start_factor=0.01, end=5)
cosine = dict(type=CosineAnnealingLR, begin=5, end=100)
param_scheduler = [warmup, cosine]
# The image model only: a learned pooling over its frames is as new as we are.
slower = {'backbone.backbone': dict(lr_mult=0.1)}
optim_wrapper.update(paramwise_cfg=dict(custom_keys=slower))
