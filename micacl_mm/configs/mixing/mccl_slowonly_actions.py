"""MCCL alone on SlowOnly, for any long-tailed set of actions.

Inherit from ``micacl_mm.configs.mixing.mccl_slowonly_actions``; run your file
with ``python -m micacl_mm train FILE --auto-scale-lr``. Your set comes
by ``--data-root`` (see datasets/actions_3d.py), your number of classes by::

    model.update(
        neck=dict(aux_loss=dict(num_classes=7)),
        cls_head=dict(num_classes=7),
    )
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.actions_3d import *
    from .._base_.default_runtime import *
    from .._base_.models.slowonly_r50 import *
    from .._base_.schedules.adamw_300e import *

from mmaction.evaluation import AccMetric
from mmengine.optim import LinearLR, MultiStepLR
from torch.optim import SGD

from micacl_mm import MCCLLoss, PassThroughNeck, RecallMetric

num_classes = 51
mccl = dict(type=MCCLLoss, num_classes=num_classes)
model.update(
    neck=dict(type=PassThroughNeck, num_instances=1, aux_loss=mccl),
    cls_head=dict(num_classes=num_classes),
)
val_evaluator = [dict(type=RecallMetric), dict(type=AccMetric)]
test_evaluator = val_evaluator
train_cfg.update(max_epochs=150)
warmup = dict(type=LinearLR, start_factor=0.1, end=10)
steps = dict(type=MultiStepLR, milestones=[90, 130])
param_scheduler = [warmup, steps]
optim_wrapper.update(
    optimizer=dict(type=SGD, lr=0.02, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=40),
)
auto_scale_lr.update(base_batch_size=128)
