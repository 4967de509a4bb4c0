# Video Swin-T on one clip of 16 frames.
_base_ = '../swin_tiny.py'
model = dict(
    cls_head=dict(num_classes=7, label_smooth_eps=0.1),
    data_preprocessor=dict(type='BagDataPreprocessor', view='clip'),
)
