# WIAN on Video Swin-T with its rates, 4 instances of 8 frames. Run it with
# python tools/train.py configs/mixing/wian_swin_dfew.py --auto-scale-lr
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_32x224.py',
    '../_base_/models/swin_tiny.py',
    '../_base_/schedules/adamw_300e.py',
]
model = dict(
    neck=dict(type='WIAN', in_channels=768, num_instances=4),
    cls_head=dict(in_channels=1024, num_classes=7),
)
train_cfg = dict(max_epochs=100)
warmup = dict(type='LinearLR', start_factor=0.01, end=5)
cosine = dict(type='CosineAnnealingLR', begin=5, end=100)
param_scheduler = [warmup, cosine]
no_decay = dict(decay_mult=0.0)
keys = dict(norm=no_decay, relative_position_bias_table=no_decay)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.02),
    constructor='SwinOptimWrapperConstructor',
    paramwise_cfg=dict(backbone=dict(lr_mult=0.1), **keys),
)
auto_scale_lr = dict(base_batch_size=64)
