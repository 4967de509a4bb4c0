"""The rows of the matrix: small models of every backbone family.

Sizes are cut down until a training step takes a fraction of a second; what a
neck sees, the kind and form of the features, is that of the real model.
"""

from dataclasses import dataclass, field

#: Clips of a video, the instances of a bag.
M = 4


@dataclass(frozen=True)
class Family:
    """One backbone in its stock recognizer, with its stock head.

    ``shape`` is that of a clip, (C, T, H, W), of a frame, (C, H, W), or of a
    clip of skeletons, (people, T, joints, 3).
    """

    name: str
    backbone: dict
    channels: int
    shape: tuple = (3, 4, 32, 32)
    head: str = 'I3DHead'
    head_args: dict = field(default_factory=dict)
    recognizer: str = 'Recognizer3D'
    num_instances: int = M
    needs: tuple = ()
    note: str = ''

    def __str__(self) -> str:
        return self.name


def _slow_fast_path(**kwargs) -> dict:
    return dict(
        type='resnet3d',
        depth=18,
        pretrained=None,
        conv1_stride_t=1,
        pool1_stride_t=1,
        **kwargs,
    )


VIDEO = [
    Family('C2D', dict(type='C2D', depth=18, norm_eval=False), 512),
    Family(
        'C3D',
        dict(type='C3D', dropout_ratio=0.0, out_dim=512),
        4096,
        shape=(3, 16, 16, 16),
        head_args=dict(spatial_type=None),
        num_instances=2,
    ),
    Family(
        'I3D, R3D (ResNet3d)',
        dict(type='ResNet3d', depth=18, base_channels=4, pretrained=None),
        32,
    ),
    Family(
        'SlowOnly',
        dict(
            type='ResNet3dSlowOnly', depth=18, base_channels=4, pretrained=None
        ),
        32,
    ),
    Family(
        'SlowFast',
        dict(
            type='ResNet3dSlowFast',
            pretrained=None,
            resample_rate=4,
            speed_ratio=4,
            channel_ratio=4,
            slow_pathway=_slow_fast_path(
                base_channels=16,
                lateral=True,
                conv1_kernel=(1, 7, 7),
                dilations=(1, 1, 1, 1),
                inflate=(0, 0, 1, 1),
            ),
            fast_pathway=_slow_fast_path(
                base_channels=4, lateral=False, conv1_kernel=(5, 7, 7)
            ),
        ),
        160,
        shape=(3, 16, 32, 32),
        head='SlowFastHead',
    ),
    Family(
        'R(2+1)D',
        dict(
            type='ResNet2Plus1d',
            depth=18,
            base_channels=8,
            pretrained=None,
            pretrained2d=False,
            norm_eval=False,
            conv_cfg=dict(type='Conv2plus1d'),
            conv1_kernel=(3, 7, 7),
            conv1_stride_t=1,
            pool1_stride_t=1,
            inflate=(1, 1, 1, 1),
            spatial_strides=(1, 2, 2, 2),
            temporal_strides=(1, 2, 2, 2),
        ),
        64,
    ),
    Family(
        'CSN',
        dict(
            type='ResNet3dCSN',
            depth=50,
            base_channels=4,
            pretrained=None,
            pretrained2d=False,
            with_pool2=False,
            norm_eval=False,
            zero_init_residual=False,
        ),
        128,
        shape=(3, 8, 32, 32),
    ),
    Family('X3D', dict(type='X3D'), 192, head='X3DHead'),
    Family(
        'Video Swin',
        dict(
            type='SwinTransformer3D',
            arch=dict(
                embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2]
            ),
            pretrained2d=False,
            window_size=(2, 2, 2),
            drop_path_rate=0.0,
        ),
        192,
    ),
    Family(
        'MViT v2',
        dict(
            type='MViT',
            arch=dict(
                embed_dims=24,
                num_layers=4,
                num_heads=1,
                downscale_indices=[1, 2],
            ),
            spatial_size=32,
            temporal_size=4,
        ),
        96,
        head='MViTHead',
    ),
    Family(
        'TimeSformer',
        dict(
            type='TimeSformer',
            num_frames=4,
            img_size=32,
            patch_size=16,
            embed_dims=48,
            num_heads=4,
            num_transformer_layers=2,
        ),
        48,
        head='TimeSformerHead',
    ),
    Family(
        'VideoMAE (ViT)',
        dict(
            type='VisionTransformer',
            img_size=32,
            patch_size=16,
            embed_dims=48,
            depth=2,
            num_heads=4,
            num_frames=4,
        ),
        48,
        head='TimeSformerHead',
    ),
    Family(
        'UniFormer',
        dict(
            type='UniFormer',
            depth=[1, 1, 1, 1],
            img_size=32,
            embed_dim=[16, 32, 64, 64],
            head_dim=16,
            pretrained2d=False,
        ),
        64,
    ),
    Family(
        'UniFormerV2',
        dict(
            type='UniFormerV2',
            input_resolution=32,
            patch_size=16,
            width=48,
            layers=2,
            heads=4,
            t_size=4,
            double_lmhra=True,
            return_list=[0, 1],
            n_layers=2,
            n_dim=48,
            n_head=4,
            mlp_dropout=[0.0, 0.0],
            clip_pretrained=False,
        ),
        48,
        head='UniFormerHead',
    ),
    Family(
        'OmniSource (OmniResNet)',
        dict(type='OmniResNet', layers=[1, 1, 1, 1]),
        2048,
        shape=(3, 2, 32, 32),
        note='in Recognizer3D',
    ),
    Family(
        'PoseC3D (SlowOnly on heatmaps)',
        dict(
            type='ResNet3dSlowOnly',
            depth=18,
            base_channels=8,
            in_channels=17,
            pretrained=None,
            num_stages=3,
            out_indices=(2,),
            conv1_stride_s=1,
            pool1_stride_s=1,
            inflate=(0, 1, 1),
            spatial_strides=(2, 2, 2),
            temporal_strides=(1, 1, 2),
            dilations=(1, 1, 1),
        ),
        32,
        shape=(17, 4, 16, 16),
    ),
]

_2D = dict(recognizer='Recognizer2D', shape=(3, 32, 32))
_SHIFT = dict(head='TSMHead', head_args=dict(num_segments=M), **_2D)
FRAMES = [
    Family(
        'TSN',
        dict(type='ResNet', depth=18, norm_eval=False),
        512,
        head='TSNHead',
        **_2D,
    ),
    Family(
        'TSM',
        dict(
            type='ResNetTSM',
            depth=18,
            num_segments=M,
            norm_eval=False,
            pretrained2d=False,
        ),
        512,
        **_SHIFT,
    ),
    Family(
        'TIN',
        dict(
            type='ResNetTIN',
            depth=18,
            num_segments=M,
            norm_eval=False,
            pretrained2d=False,
            shift_div=4,
        ),
        512,
        note='with its compiled operator of the full mmcv replaced by a loop',
        **_SHIFT,
    ),
    Family(
        'TANet',
        dict(type='TANet', depth=50, num_segments=M, norm_eval=False),
        2048,
        **_SHIFT,
    ),
    Family(
        'MobileNetV2',
        dict(type='MobileNetV2', widen_factor=0.25),
        1280,
        head='TSNHead',
        **_2D,
    ),
    Family(
        'TSM (MobileNetV2TSM)',
        dict(
            type='MobileNetV2TSM',
            num_segments=M,
            widen_factor=0.25,
            pretrained2d=False,
        ),
        1280,
        **_SHIFT,
    ),
    Family(
        'TSM (MobileOneTSM)',
        dict(
            type='MobileOneTSM',
            arch=dict(
                num_blocks=[1, 1, 1, 1],
                width_factor=[0.25] * 4,
                num_conv_branches=[1] * 4,
                num_se_blocks=[0] * 4,
            ),
            num_segments=M,
            pretrained2d=False,
        ),
        128,
        needs=('mmpretrain',),
        **_SHIFT,
    ),
]

_AUDIO = dict(type='ResNetAudio', depth=50, norm_eval=False, base_channels=4)
FRAMES.append(
    Family(
        'ResNetAudio, spectrograms as frames',
        _AUDIO,
        128,
        recognizer='Recognizer2D',
        shape=(1, 32, 32),
        head='TSNHead',
    )
)

_GRAPH = dict(
    recognizer='RecognizerGCN',
    head='GCNHead',
    shape=(2, 4, 17, 3),
)
_SKELETON = dict(
    base_channels=8,
    num_stages=4,
    inflate_stages=[3],
    down_stages=[3],
    graph_cfg=dict(layout='coco', mode='stgcn_spatial'),
)
GRAPHS = [
    Family('ST-GCN', dict(type='STGCN', **_SKELETON), 16, **_GRAPH),
    Family('2s-AGCN', dict(type='AAGCN', **_SKELETON), 16, **_GRAPH),
]


def _image(
    name: str, backbone: dict, channels: int, size: int = 32, **kwargs
) -> Family:
    return Family(
        name,
        dict(type='FrameBackbone', backbone=backbone),
        channels,
        shape=(3, 2, size, size),
        needs=(backbone['type'].split('.')[0],),
        **kwargs,
    )


_VIT = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(
        embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96
    ),
)
IMAGES = [
    _image(
        'ResNet of mmpretrain',
        dict(
            type='mmpretrain.ResNet',
            depth=18,
            stem_channels=8,
            base_channels=8,
        ),
        64,
    ),
    _image(
        'ConvNeXt of mmpretrain',
        dict(
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 32, 64]),
        ),
        64,
    ),
    _image(
        'Swin of mmpretrain',
        dict(
            type='mmpretrain.SwinTransformer',
            arch=dict(
                embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2]
            ),
            img_size=64,
            window_size=2,
        ),
        192,
        size=64,
    ),
    _image('ViT of mmpretrain', dict(**_VIT, img_size=32, patch_size=16), 48),
    _image(
        "CLIP's ViT of mmpretrain",
        dict(**_VIT, img_size=32, patch_size=16, pre_norm=True),
        48,
    ),
    _image(
        "DINOv2's ViT of mmpretrain",
        dict(**_VIT, img_size=28, patch_size=14, layer_scale_init_value=1e-5),
        48,
        size=28,
    ),
    _image('ResNet of timm', dict(type='timm.resnet10t'), 512),
    _image(
        'ViT of timm',
        dict(
            type='timm.vit_tiny_patch16_224',
            img_size=32,
            embed_dim=48,
            depth=2,
            num_heads=4,
        ),
        48,
    ),
    _image('ResNet of torchvision', dict(type='torchvision.resnet18'), 512),
]
# The stock way to use them, without the wrapper.
BARE_IMAGES = [
    Family(
        f'{name} in Recognizer2D',
        backbone,
        channels,
        head='TSNHead',
        needs=(backbone['type'].split('.')[0],),
        **_2D,
    )
    for name, backbone, channels in (
        (
            'MobileNetV2 of mmpretrain',
            dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
            1280,
        ),
        ('ResNet of timm', dict(type='timm.resnet10t'), 512),
        (
            'ShuffleNetV2 of torchvision',
            dict(type='torchvision.shufflenet_v2_x0_5'),
            1024,
        ),
    )
]

FAMILIES = [*VIDEO, *FRAMES, *GRAPHS, *IMAGES, *BARE_IMAGES]


@dataclass(frozen=True)
class Refusal:
    """A stock model that cannot take a bag; the error says why."""

    name: str
    recognizer: str
    backbone: dict
    match: str
    others: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


REFUSALS = [
    Refusal(
        'ResNetAudio in RecognizerAudio',
        'RecognizerAudio',
        _AUDIO,
        'calls no neck',
    ),
    Refusal(
        'RGBPoseConv3D in MMRecognizer3D',
        'MMRecognizer3D',
        dict(type='RGBPoseConv3D', pretrained=None),
        'calls no neck',
    ),
    Refusal(
        'OmniResNet in RecognizerOmni',
        'RecognizerOmni',
        dict(type='OmniResNet', layers=[1, 1, 1, 1]),
        "unexpected keyword argument 'neck'",
        others=dict(
            cls_head=dict(
                type='OmniHead',
                image_classes=3,
                video_classes=3,
                in_channels=2048,
            ),
            data_preprocessor=dict(type='ActionDataPreprocessor'),
        ),
    ),
    Refusal(
        'ResNet3dLayer, a stage of detection heads',
        'Recognizer3D',
        dict(type='ResNet3dLayer', depth=18, pretrained=None, stage=3),
        'channels',
    ),
]
