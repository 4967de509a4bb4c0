"""What the tests of FrameBackbone share."""

import torch
from torch import nn

import micacl_mm.models.backbones  # noqa: F401  registers FrameBackbone
from micacl_mm.registry import MODELS

VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)

PLAIN_VIT = dict(
    type='mmpretrain.VisionTransformer', arch=VIT, img_size=32, patch_size=16
)

SMALL_RESNET = dict(
    type='ResNet',
    depth=18,
    num_stages=1,
    out_indices=(0,),
    strides=(1,),
    dilations=(1,),
)

MMPRETRAIN = dict(
    resnet=dict(
        type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=4
    ),
    vit=PLAIN_VIT,
    featmap=dict(PLAIN_VIT, out_type='featmap'),
    raw=dict(PLAIN_VIT, out_type='raw'),
)

TIMM = dict(
    convnext=dict(type='timm.test_convnext'),
    vit=dict(type='timm.test_vit', img_size=32),
    swin=dict(  # keeps channels last inside
        type='timm.swin_tiny_patch4_window7_224',
        img_size=32,
        embed_dim=8,
        depths=(2, 1),
        num_heads=(1, 2),
        window_size=4,
    ),
)

# Each with the path of its last linear layer.
TORCHVISION = dict(
    mobilenet=(dict(type='torchvision.mobilenet_v2'), 'classifier.1'),
    vit=(
        dict(
            type='torchvision.VisionTransformer',
            image_size=32,
            patch_size=16,
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            mlp_dim=16,
        ),
        'heads.head',
    ),
)

RESNET = MMPRETRAIN['resnet']


class Tiny(nn.Module):
    """A smooth image model of four channels, as strangers write them."""

    def __init__(self, drop=0.0):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(11))
        self.dropout = nn.Dropout(drop)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).tanh()
        for layer in self.layers:
            x = x + layer(x).tanh()
        return self.dropout(x)


class Returns(nn.Module):
    """Returns what it is told to."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


def build(backbone, **kwargs):
    cfg = dict(type='FrameBackbone', backbone=backbone, **kwargs)
    return MODELS.build(cfg)


def clips(batch=2, length=3, size=32):
    return torch.randn(batch, 3, length, size, size)


def naive_mean(vector, x):
    """Call ``vector`` on one frame at a time."""
    rows = []
    for clip in x:
        frames = [vector(clip[:, t][None])[0] for t in range(x.shape[2])]
        rows.append(torch.stack(frames).mean(0))
    return torch.stack(rows)


def close(found, expected):
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def step(model, x, seed=3):
    """Outputs, gradients and state after one backward pass."""
    model.zero_grad()
    torch.manual_seed(seed)
    out = model(x)
    out.square().sum().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    return out.detach(), gradients, dict(model.named_buffers())


def learning(model):
    return {n for n, p in model.named_parameters() if p.requires_grad}


def randomised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def recognizer(backbone, neck=None, channels=32):
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=backbone,
            neck=neck,
            cls_head=dict(
                type='I3DHead',
                num_classes=3,
                in_channels=channels,
                average_clips='prob',
            ),
        )
    )
