# Video Swin-T on one clip of 16 frames. Weights trained on Kinetics come by
# --cfg-options load_from=FILE.
_base_ = [
    '../_base_/leaderboard_224.py',
    'mmaction::_base_/models/swin_tiny.py',
]
small_arch = dict(
    _delete_=True,
    embed_dims=24,
    depths=[1, 1, 2, 1],
    num_heads=[1, 2, 4, 8],
)
model = dict(
    backbone=dict(
        arch=small_arch if _base_.small else 'tiny', pretrained2d=False
    ),
    cls_head=dict(_base_.head, in_channels=192 if _base_.small else 768),
    data_preprocessor={{_base_.one_clip}},
)
