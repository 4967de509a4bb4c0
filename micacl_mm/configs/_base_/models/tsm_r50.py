"""MMAction2's TSM of 8 frames; the leaf says num_classes.

torchvision's weights come by ``--cfg-options
model.backbone.pretrained2d=True model.backbone.pretrained=FILE``.
"""

from mmaction.models import (
    ActionDataPreprocessor,
    Recognizer2D,
    ResNetTSM,
    TSMHead,
)

model = dict(
    type=Recognizer2D,
    backbone=dict(
        type=ResNetTSM,
        depth=50,
        num_segments=8,
        shift_div=8,
        norm_eval=False,
        pretrained2d=False,
    ),
    cls_head=dict(
        type=TSMHead,
        num_segments=8,
        in_channels=2048,
        dropout_ratio=0.5,
        init_std=0.001,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type=ActionDataPreprocessor,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
)
