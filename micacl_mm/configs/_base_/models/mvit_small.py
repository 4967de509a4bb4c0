"""MMAction2's MViTv2-S; the leaf says num_classes.

Weights trained on Kinetics come by ``--cfg-options load_from=FILE`` and want
these means. Built for clips of 16 frames, so that they fit; for shorter ones
it resizes its table of distances in time as it runs.
"""

from mmaction.models import (
    ActionDataPreprocessor,
    MViT,
    MViTHead,
    Recognizer3D,
)

model = dict(
    type=Recognizer3D,
    backbone=dict(type=MViT, arch='small', drop_path_rate=0.2),
    cls_head=dict(
        type=MViTHead,
        in_channels=768,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type=ActionDataPreprocessor,
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW',
    ),
)
