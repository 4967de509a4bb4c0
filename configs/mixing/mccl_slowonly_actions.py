# MCCL alone on SlowOnly, for any long-tailed set of actions. Weights of the
# 2-D network come by --cfg-options model.backbone.pretrained=FILE.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/actions_3d.py',
    'mmaction::_base_/models/slowonly_r50.py',
]
num_classes = 51  # yours, with --data-root: see datasets/actions_3d.py
mccl = dict(type='MCCLLoss', num_classes=num_classes)
model = dict(
    backbone=dict(pretrained=None),
    neck=dict(type='PassThroughNeck', num_instances=1, aux_loss=mccl),
    cls_head=dict(num_classes=num_classes),
)
val_evaluator = [dict(type='RecallMetric'), dict(type='AccMetric')]
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=150, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
warmup = dict(type='LinearLR', start_factor=0.1, end=10)
steps = dict(type='MultiStepLR', milestones=[90, 130])
param_scheduler = [warmup, steps]
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=40),
)
auto_scale_lr = dict(enable=True, base_batch_size=128)
