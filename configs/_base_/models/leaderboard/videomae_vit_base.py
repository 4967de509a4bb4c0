# VideoMAE ViT-B on one clip of 16 frames.
_base_ = '../videomae_vit_base.py'
model = dict(
    backbone=dict(num_frames=16),
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
