# X3D-M. Weights trained on Kinetics come by --cfg-options load_from=FILE.
_base_ = ['../_base_/leaderboard.py', 'mmaction::_base_/models/x3d.py']
model = dict(
    backbone=dict(gamma_d=1 if _base_.small else 2.2),
    cls_head=dict(
        num_classes=7,
        dropout_ratio={{_base_.dropout_ratio}},
        label_smooth_eps=0.1,
    ),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
