# CLIP's image model on 16 frames, of which it takes the mean. All of it
# trains, as in the other methods, so that it may start from random weights.
_base_ = [
    '../_base_/leaderboard_224.py',
    '../_base_/models/clip_vit_base.py',
]
small_size = dict(
    arch=dict(
        _delete_=True,
        embed_dims=96,
        num_layers=4,
        num_heads=4,
        feedforward_channels=384,
    ),
    img_size=48,
    patch_size=12,
)
model = dict(
    backbone=dict(
        backbone=dict(frozen_stages=-1, **(small_size if _base_.small else {}))
    ),
    cls_head=dict(_base_.head, in_channels=96 if _base_.small else 768),
    data_preprocessor={{_base_.one_clip}},
)
