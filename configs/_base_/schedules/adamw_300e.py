# A co-author's recipe, for a batch of 128. The rate fits itself to another.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.02, end=10, convert_to_iter_based=True
    ),
    dict(
        type='CosineAnnealingLR',
        begin=10,
        end=300,
        eta_min=3e-6,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
)
auto_scale_lr = dict(enable=True, base_batch_size=128)
