# MCCL alone on TSM, for any long-tailed set of actions. Run it with
# python tools/train.py configs/mixing/mccl_tsm_actions.py --auto-scale-lr
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/actions_2d.py',
    '../_base_/models/tsm_r50.py',
    '../_base_/schedules/adamw_300e.py',
]
num_classes = 51  # yours, with --data-root: see datasets/actions_3d.py
mccl = dict(type='MCCLLoss', num_classes=num_classes)
model = dict(
    neck=dict(type='PassThroughNeck', num_instances=1, aux_loss=mccl),
    cls_head=dict(num_classes=num_classes),
)
val_evaluator = [dict(type='RecallMetric'), dict(type='AccMetric')]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=50)
param_scheduler = [dict(type='MultiStepLR', milestones=[20, 40])]
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    constructor='TSMOptimWrapperConstructor',
    paramwise_cfg=dict(fc_lr5=True),
    clip_grad=dict(max_norm=20),
)
auto_scale_lr = dict(base_batch_size=128)
