"""MMAction2's SlowOnly; the leaf says num_classes.

torchvision's weights of the 2-D network come by
``--cfg-options model.backbone.pretrained=FILE``.
"""

from mmaction.models import (
    ActionDataPreprocessor,
    I3DHead,
    Recognizer3D,
    ResNet3dSlowOnly,
)

model = dict(
    type=Recognizer3D,
    backbone=dict(
        type=ResNet3dSlowOnly, depth=50, pretrained=None, norm_eval=False
    ),
    cls_head=dict(
        type=I3DHead,
        in_channels=2048,
        dropout_ratio=0.5,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type=ActionDataPreprocessor,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
)
