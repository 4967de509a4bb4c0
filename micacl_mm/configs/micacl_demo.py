"""A small MICACL on the synthetic set.

A quarter of the width and a small stem that halves frame rate and size once
more: a CPU trains it in minutes. The rest is the model of the real recipe.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.datasets.synthetic import *
    from ._base_.default_runtime import *
    from ._base_.models.micacl_r3d18 import *
    from ._base_.schedules.adamw_300e import *

from mmengine.optim import CosineAnnealingLR, LinearLR

from micacl_mm import (
    GEIIM,
    WIAN,
    ChannelsLastHook,
    ClassCountsHook,
    ConsistencyHook,
    NonFiniteLossHook,
    ResultHook,
    SafeDataHook,
)

model.update(
    backbone=dict(
        base_channels=16,
        conv1_kernel=(3, 3, 3),
        conv1_stride_t=2,
        with_pool1=True,
    ),
    neck=dict(
        necks=[
            dict(type=GEIIM, in_channels=128),
            dict(type=WIAN, in_channels=128, out_channels=256),
        ],
        aux_loss=dict(in_channels=256),
    ),
    cls_head=dict(in_channels=256, dropout_ratio=0.2),
)

custom_hooks = [
    dict(type=ClassCountsHook),
    dict(type=ResultHook),
    dict(type=ConsistencyHook),
    dict(type=NonFiniteLossHook),
    dict(type=SafeDataHook),
    dict(type=ChannelsLastHook),
]

train_dataloader.update(batch_size=32)
train_cfg.update(max_epochs=6)
param_scheduler = [
    dict(
        type=LinearLR,
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=60,
    ),
    dict(
        type=CosineAnnealingLR,
        by_epoch=True,
        begin=0,
        end=6,
        eta_min=5e-6,
        convert_to_iter_based=True,
    ),
]
optim_wrapper.update(optimizer=dict(lr=1.5e-3))
