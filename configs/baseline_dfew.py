# The stock comparison: the same clips, backbone, head and schedule without
# MICACL, that is the mean of the instances and cross-entropy alone. The neck
# only folds four instances into one feature, for which stock has no neck.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/dfew.py',
    '_base_/models/micacl_r3d18.py',
    '_base_/schedules/adamw_300e.py',
]

model = dict(
    neck=dict(_delete_=True, type='PassThroughNeck', num_instances=4),
    cls_head=dict(in_channels=512),
)
