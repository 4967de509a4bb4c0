# What we found better, on the recipe of the reference: docs/method.md.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/dfew.py',
    '_base_/models/micacl_plus_r3d18.py',
    '_base_/schedules/adamw_300e.py',
]
train_dataloader = dict(batch_size=128)
