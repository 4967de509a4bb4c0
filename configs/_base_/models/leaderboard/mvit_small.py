# MViTv2-S on one clip of 16 frames.
_base_ = '../mvit_small.py'
model = dict(
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
