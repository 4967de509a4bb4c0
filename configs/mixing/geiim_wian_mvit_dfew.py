# GEIIM and WIAN on MViTv2-S with its own head. Run it with
# python tools/train.py configs/mixing/geiim_wian_mvit_dfew.py --auto-scale-lr
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_16x224.py',
    '../_base_/models/mvit_small.py',
    '../_base_/schedules/adamw_300e.py',
]
geiim = dict(type='GEIIM', in_channels=768)
wian = dict(type='WIAN', in_channels=768)
model = dict(
    neck=dict(type='NeckChain', num_instances=4, necks=[geiim, wian]),
    cls_head=dict(in_channels=1024, num_classes=7),
)
train_cfg = dict(max_epochs=100)
warmup = dict(type='LinearLR', start_factor=0.01, end=5)
cosine = dict(type='CosineAnnealingLR', begin=5, end=100)
param_scheduler = [warmup, cosine]
optim_wrapper = dict(
    constructor='LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(decay_rate=0.75, num_layers=16),
    clip_grad=dict(max_norm=1),
)
