"""MMAction2's Video Swin-T; the leaf says num_classes.

Weights trained on Kinetics, which lie with MMAction2, come by
``--cfg-options load_from=FILE``.
"""

from mmaction.models import (
    ActionDataPreprocessor,
    I3DHead,
    Recognizer3D,
    SwinTransformer3D,
)

model = dict(
    type=Recognizer3D,
    backbone=dict(
        type=SwinTransformer3D,
        arch='tiny',
        pretrained2d=False,
        patch_size=(2, 4, 4),
        window_size=(8, 7, 7),
        drop_path_rate=0.1,
    ),
    cls_head=dict(
        type=I3DHead,
        in_channels=768,
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
