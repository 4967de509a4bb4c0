# Your own classes, as many as there are folders: see docs/own_data.md.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/class_folder.py',
    '_base_/models/micacl_plus_r3d18.py',
]
num_classes = _base_.num_classes
model = dict(
    neck=dict(aux_loss=dict(num_classes=num_classes)),
    cls_head=dict(
        num_classes=num_classes, loss_cls=dict(num_classes=num_classes)
    ),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True
    ),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        end=50,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
)
auto_scale_lr = dict(enable=True, base_batch_size=16)
