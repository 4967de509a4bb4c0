# TSM on 16 frames.
_base_ = '../tsm_r50.py'
model = dict(
    backbone=dict(num_segments=16),
    cls_head=dict(num_segments=16, num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='frames'),
)
