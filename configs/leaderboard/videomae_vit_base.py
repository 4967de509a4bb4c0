# VideoMAE ViT-B on one clip of 16 frames.
_base_ = [
    '../_base_/leaderboard_224.py',
    '../_base_/models/videomae_vit_base.py',
]
size = dict(img_size=48, patch_size=12, embed_dims=192, depth=4, num_heads=4)
model = dict(
    backbone=dict(num_frames=16, **(size if _base_.small else {})),
    cls_head=dict(
        num_classes={{_base_.num_classes}},
        label_smooth_eps=0.1,
        **(dict(in_channels=192, dropout_ratio=0.2) if _base_.small else {}),
    ),
    data_preprocessor={{_base_.one_clip}},
)
