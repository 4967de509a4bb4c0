# What all methods of a set share: data, schedule and runtime. MICACL_SET, the
# option --set, names one of them; synthetic is the open benchmark.
_base_ = [
    './default_runtime.py',
    './datasets/{{$MICACL_SET:synthetic}}.py',
]
from micacl_mm.options import option

small = option('set', 'synthetic') == 'synthetic'

custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='ResultHook'),
    dict(type='ConsistencyHook'),
    dict(type='NonFiniteLossHook'),
    *([dict(type='ChannelsLastHook')] if small else []),
]

# M3DFEL's schedule; fifteen epochs of small models from random weights.
warmup, epochs = (1, 15) if small else (20, 300)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=warmup,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=warmup,
        end=epochs,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.5e-3 if small else 5e-4, weight_decay=0.05
    ),
)
# The rate fits itself to the batch, so that no method runs with another one.
auto_scale_lr = dict(enable=not small, base_batch_size=64 if small else 256)

# The size of the models. The small R3D-18 halves frame rate and size once
# more at its stem.
dropout_ratio = 0.2 if small else 0.5
head = dict(
    num_classes={{_base_.num_classes}},
    dropout_ratio=dropout_ratio,
    label_smooth_eps=0.1,
)
# On hard labels, for which the losses for long tails are defined.
hard_loss = dict(
    type='LongTailCrossEntropyLoss', num_classes={{_base_.num_classes}}
)
one_clip = dict(type='BagDataPreprocessor', view='clip')
width = 128 if small else 512
r3d18 = (
    dict(
        base_channels=16,
        conv1_kernel=(3, 3, 3),
        conv1_stride_t=2,
        with_pool1=True,
    )
    if small
    else {}
)
