# For backbones with weights from actions. The rate is for a batch of 256 and
# fits itself to another.
_base_ = './adamw_300e.py'
train_cfg = dict(max_epochs=100)
param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=0.01, end=5),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        end=100,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=256)
