# CLIP's image model on 16 frames, of which it takes the mean. All of it
# trains, as in the other methods, so that it may start from random weights.
_base_ = '../clip_vit_base.py'
model = dict(
    backbone=dict(backbone=dict(frozen_stages=-1)),
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
