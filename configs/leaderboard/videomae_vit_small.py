# VideoMAE ViT-S on one clip of 16 frames.
_base_ = './videomae_vit_base.py'
width, heads = (96, 4) if _base_.small else (384, 6)
model = dict(
    backbone=dict(embed_dims=width, num_heads=heads),
    cls_head=dict(in_channels=width),
)
