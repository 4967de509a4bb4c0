# MICACL plus on CREMA-D.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/cremad.py',
    '_base_/models/micacl_plus_r3d18.py',
    '_base_/schedules/adamw_300e.py',
]
num_classes = _base_.num_classes
model = dict(
    neck=dict(aux_loss=dict(num_classes=num_classes)),
    cls_head=dict(
        num_classes=num_classes, loss_cls=dict(num_classes=num_classes)
    ),
)
train_dataloader = dict(batch_size=128)
