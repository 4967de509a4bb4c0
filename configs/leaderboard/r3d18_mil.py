# The reference: R3D-18 on each instance, their mean, cross-entropy.
_base_ = ['../_base_/leaderboard.py', '../_base_/models/r3d18.py']
model = dict(
    backbone={{_base_.r3d18}},
    neck=dict(type='PassThroughNeck', num_instances=4),
    cls_head=dict(
        num_classes={{_base_.num_classes}},
        in_channels={{_base_.width}},
        dropout_ratio={{_base_.dropout_ratio}},
    ),
)
