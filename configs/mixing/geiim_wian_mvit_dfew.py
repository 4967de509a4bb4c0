# GEIIM and WIAN on MViTv2-S with its own head. Weights trained on Kinetics
# come by --cfg-options load_from=FILE and want these means. They are for 16
# frames; for shorter clips MViT resizes its table of distances as it runs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_16x224.py',
    'mmaction::_base_/models/mvit_small.py',
    '../_base_/schedules/adamw_100e.py',
]
geiim = dict(type='GEIIM', in_channels=768)
wian = dict(type='WIAN', in_channels=768)
model = dict(
    neck=dict(type='NeckChain', num_instances=4, necks=[geiim, wian]),
    cls_head=dict(in_channels=1024, num_classes=7),
    data_preprocessor=dict(
        mean=[114.75, 114.75, 114.75], std=[57.375, 57.375, 57.375]
    ),
)
optim_wrapper = dict(
    constructor='LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(decay_rate=0.75, num_layers=16),
    clip_grad=dict(max_norm=1),
)
