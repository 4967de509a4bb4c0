# MCCL alone on SlowOnly, for any long-tailed set of actions. Weights of the
# 2-D network come by --cfg-options model.backbone.pretrained=FILE.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/actions_3d.py',
    'mmaction::_base_/models/slowonly_r50.py',
    'mmaction::_base_/schedules/sgd_150e_warmup.py',
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
optim_wrapper = dict(optimizer=dict(lr=0.02))
auto_scale_lr = dict(enable=True, base_batch_size=128)
