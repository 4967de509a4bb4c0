# SlowOnly on one clip of 16 frames. torchvision's weights of the 2-D network
# come by --cfg-options model.backbone.pretrained=FILE.
_base_ = [
    '../_base_/leaderboard.py',
    'mmaction::_base_/models/slowonly_r50.py',
]
model = dict(
    backbone=dict(pretrained=None, base_channels=8 if _base_.small else 64),
    cls_head=dict(_base_.head, in_channels=256 if _base_.small else 2048),
    data_preprocessor={{_base_.one_clip}},
)
