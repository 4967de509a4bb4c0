"""The image half of CLIP ViT-B/16 as MMPretrain has it, on each frame.

The leaf says num_classes. Patches and 6 of 12 layers stay as they are, which
halves the memory of a training step; so it needs weights, by ``--cfg-options``

- ``model.backbone.backbone.init_cfg.type=Pretrained``
- ``model.backbone.backbone.init_cfg.checkpoint=FILE``
- ``model.backbone.backbone.init_cfg.prefix=visual``

for a file that MMPretrain's openai-clip_to_mmpretrain-clip.py has written.
"""

from mmaction.models import ActionDataPreprocessor, I3DHead, Recognizer3D
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import QuickGELU

from micacl_mm import FrameBackbone

model = dict(
    type=Recognizer3D,
    backbone=dict(
        type=FrameBackbone,
        backbone=dict(
            type=VisionTransformer,
            arch='base',
            img_size=224,
            patch_size=16,
            pre_norm=True,
            layer_cfgs=dict(act_cfg=dict(type=QuickGELU)),
            frozen_stages=6,
        ),
    ),
    cls_head=dict(
        type=I3DHead,
        in_channels=768,
        dropout_ratio=0.5,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type=ActionDataPreprocessor,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        format_shape='NCTHW',
    ),
)
