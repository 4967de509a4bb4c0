# Your own classes, as many as there are folders: see docs/own_data.md.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/class_folder.py',
    '_base_/models/micacl_plus_r3d18.py',
    '_base_/schedules/adamw_100e.py',
]
from micacl_mm.options import for_classes

model = for_classes(_base_.model, _base_.num_classes)
train_cfg = dict(max_epochs=50)
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, dict(cosine, end=50)]
optim_wrapper = dict(optimizer=dict(lr=1e-4))
auto_scale_lr = dict(base_batch_size=16)
