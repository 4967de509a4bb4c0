# CLIP's image model on 16 frames, of which it takes the mean.
_base_ = '../clip_vit_base.py'
model = dict(
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
