# For backbones with weights from actions. The rate is for a batch of 256 and
# fits itself to another.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True
    ),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        end=100,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
)
auto_scale_lr = dict(enable=True, base_batch_size=256)
