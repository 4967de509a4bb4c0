# R(2+1)D-18: MMAction2's R(2+1)D-34 with two blocks a stage and BatchNorm of
# each process, as in the others.
_base_ = [
    '../_base_/leaderboard.py',
    'mmaction::_base_/models/r2plus1d_r34.py',
]
model = dict(
    backbone=dict(
        depth=18,
        norm_cfg=dict(type='BN3d'),
        **(
            dict(base_channels=16, conv1_kernel=(3, 3, 3))
            if _base_.small
            else {}
        ),
    ),
    cls_head=dict(_base_.head, in_channels={{_base_.width}}),
    data_preprocessor={{_base_.one_clip}},
)
