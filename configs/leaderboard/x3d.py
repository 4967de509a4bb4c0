# X3D-M. Weights trained on Kinetics come by --cfg-options load_from=FILE.
_base_ = ['../_base_/leaderboard.py', 'mmaction::_base_/models/x3d.py']
model = dict(
    backbone=dict(gamma_d=1 if _base_.small else 2.2),
    cls_head={{_base_.head}},
    data_preprocessor={{_base_.one_clip}},
)
