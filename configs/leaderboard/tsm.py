# TSM on 16 frames. torchvision's weights come by --cfg-options
# model.backbone.pretrained2d=True model.backbone.pretrained=FILE.
_base_ = ['../_base_/leaderboard.py', 'mmaction::_base_/models/tsm_r50.py']
model = dict(
    backbone=dict(
        depth=18 if _base_.small else 50,
        num_segments=16,
        pretrained=None,
        pretrained2d=False,
    ),
    cls_head=dict(
        _base_.head,
        num_segments=16,
        in_channels=512 if _base_.small else 2048,
    ),
    data_preprocessor=dict(type='BagDataPreprocessor', view='frames'),
)
