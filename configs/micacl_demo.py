_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/synthetic.py',
    '_base_/models/micacl_r3d18.py',
    '_base_/schedules/adamw_300e.py',
]

# A quarter of the width and a small stem that halves frame rate and size once
# more: a CPU trains it in minutes. The rest is the model of the real recipe.
model = dict(
    backbone=dict(
        base_channels=16,
        conv1_kernel=(3, 3, 3),
        conv1_stride_t=2,
        with_pool1=True,
    ),
    neck=dict(
        necks=[
            dict(type='GEIIM', in_channels=128),
            dict(type='WIAN', in_channels=128, out_channels=256),
        ],
        aux_loss=dict(in_channels=256),
    ),
    cls_head=dict(in_channels=256, dropout_ratio=0.2),
)

custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='ResultHook'),
    dict(type='ConsistencyHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='SafeDataHook'),
    dict(type='ChannelsLastHook'),
]

train_dataloader = dict(batch_size=32)
train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=60,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=6,
        eta_min=5e-6,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
