# MICACL plus on CREMA-D.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/cremad.py',
    '_base_/models/micacl_plus_r3d18.py',
    '_base_/schedules/adamw_300e.py',
]
from micacl_mm.options import for_classes

model = for_classes(_base_.model, _base_.num_classes)
train_dataloader = dict(batch_size=128)
