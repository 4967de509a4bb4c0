# C3D, with inputs of unit size for random weights. Its weights trained on
# Sports-1M want larger ones: --cfg-options model.backbone.pretrained=FILE
# model.data_preprocessor.std=[1,1,1]
_base_ = [
    '../_base_/leaderboard.py',
    'mmaction::_base_/models/c3d_sports1m_pretrained.py',
]
model = dict(
    backbone=dict(pretrained=None, out_dim=2048 if _base_.small else 8192),
    cls_head={{_base_.head}},
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        std=[58.395, 57.12, 57.375],
    ),
)
