# SlowOnly on one clip of 16 frames.
_base_ = '../slowonly_r50.py'
model = dict(
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
