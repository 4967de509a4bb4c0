# Your own classes, as many as there are folders: see docs/own_data.md.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/class_folder.py',
    '_base_/models/micacl_r3d18.py',
    '_base_/schedules/adamw_50e.py',
]
model = dict(
    neck=dict(aux_loss=dict(num_classes=_base_.num_classes)),
    cls_head=dict(num_classes=_base_.num_classes),
)
