# WIAN on Video Swin-T with its rates. Weights trained on Kinetics, which lie
# with MMAction2, come by --cfg-options load_from=FILE.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_16x224.py',
    'mmaction::_base_/models/swin_tiny.py',
    '../_base_/schedules/adamw_100e.py',
]
model = dict(
    backbone=dict(pretrained2d=False),
    neck=dict(type='WIAN', in_channels=768, num_instances=4),
    cls_head=dict(in_channels=1024, num_classes=7),
)
no_decay = dict(decay_mult=0.0)
keys = dict(norm=no_decay, relative_position_bias_table=no_decay)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.02),
    constructor='SwinOptimWrapperConstructor',
    paramwise_cfg=dict(backbone=dict(lr_mult=0.1), **keys),
)
auto_scale_lr = dict(base_batch_size=64)
