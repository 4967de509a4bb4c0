# I3D, a ResNet-50 inflated. Weights trained on Kinetics come by
# --cfg-options load_from=FILE.
_base_ = ['../_base_/leaderboard.py', 'mmaction::_base_/models/i3d_r50.py']
model = dict(
    backbone=dict(
        pretrained=None,
        pretrained2d=False,
        base_channels=8 if _base_.small else 64,
    ),
    cls_head=dict(_base_.head, in_channels=256 if _base_.small else 2048),
    data_preprocessor={{_base_.one_clip}},
)
