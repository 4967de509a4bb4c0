# VideoMAE ViT-S on one clip of 16 frames.
_base_ = '../videomae_vit_base.py'
model = dict(
    backbone=dict(embed_dims=384, num_heads=6, num_frames=16),
    cls_head=dict(in_channels=384, num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
