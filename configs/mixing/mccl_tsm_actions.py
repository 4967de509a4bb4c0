# MCCL alone on TSM, for any long-tailed set of actions. torchvision's weights
# come by --cfg-options model.backbone.pretrained2d=True
# model.backbone.pretrained=FILE.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/actions_2d.py',
    'mmaction::_base_/models/tsm_r50.py',
]
num_classes = 51  # yours, with --data-root: see datasets/actions_3d.py
mccl = dict(type='MCCLLoss', num_classes=num_classes)
model = dict(
    backbone=dict(pretrained=None, pretrained2d=False),
    neck=dict(type='PassThroughNeck', num_instances=1, aux_loss=mccl),
    cls_head=dict(num_classes=num_classes),
)
val_evaluator = [dict(type='RecallMetric'), dict(type='AccMetric')]
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [dict(type='MultiStepLR', milestones=[20, 40])]
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    constructor='TSMOptimWrapperConstructor',
    paramwise_cfg=dict(fc_lr5=True),
    clip_grad=dict(max_norm=20),
)
auto_scale_lr = dict(enable=True, base_batch_size=128)
