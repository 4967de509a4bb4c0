# MViTv2-S on one clip of 16 frames. Weights trained on Kinetics come by
# --cfg-options load_from=FILE and want these means.
_base_ = [
    '../_base_/leaderboard_224.py',
    'mmaction::_base_/models/mvit_small.py',
]
small_arch = dict(
    _delete_=True,
    embed_dims=24,
    num_layers=4,
    num_heads=1,
    downscale_indices=[1, 2],
)
model = dict(
    backbone=dict(arch=small_arch, spatial_size=48) if _base_.small else {},
    cls_head=dict(
        num_classes={{_base_.num_classes}},
        in_channels=96 if _base_.small else 768,
        dropout_ratio={{_base_.dropout_ratio}},
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
    ),
)
