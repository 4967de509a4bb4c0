import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.nn import functional as F

from micacl_mm.models.convert import convert_r3d18
from micacl_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


class Block(nn.Module):
    """A residual block as torchvision's video ResNets have it."""

    def __init__(self, before, after, stride):
        super().__init__()

        def conv(source, target, by):
            return nn.Sequential(
                nn.Conv3d(source, target, 3, by, 1, bias=False),
                nn.BatchNorm3d(target),
            )

        self.conv1 = conv(before, after, stride)
        self.conv2 = conv(after, after, 1)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv3d(before, after, 1, stride, bias=False),
                nn.BatchNorm3d(after),
            )

    def forward(self, x):
        skip = x if self.downsample is None else self.downsample(x)
        return F.relu(self.conv2(F.relu(self.conv1(x))) + skip)


class R3D18(nn.Module):
    """torchvision's r3d_18 said again, in its own names of parameters."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(),
        )
        widths = (64, 64, 128, 256, 512)
        for i in range(4):
            before, after = widths[i], widths[i + 1]
            blocks = Block(before, after, 1 + (i > 0)), Block(after, after, 1)
            setattr(self, f'layer{i + 1}', nn.Sequential(*blocks))
        self.fc = nn.Linear(512, 400)

    def forward(self, x):
        x = self.layer2(self.layer1(self.stem(x)))
        return self.layer4(self.layer3(x))


def reference():
    try:
        from torchvision.models.video import r3d_18
    except (ImportError, RuntimeError):
        return R3D18()
    model = r3d_18()
    model.avgpool = model.fc = nn.Identity()
    model.flatten = nn.Identity()
    return model


@pytest.fixture(scope='module')
def trained():
    """A reference whose norms are not the identity."""
    torch.manual_seed(0)
    model = R3D18()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def backbone():
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/micacl_r3d18.py')
    model = MODELS.build(cfg.model.backbone)
    model.eval()  # ResNet3d.eval returns None
    return model


@pytest.mark.parametrize('frames', [4, 16])
def test_backbone_is_r3d18_layer_by_layer(trained, frames):
    ours = backbone()
    ours.load_state_dict(convert_r3d18(trained.state_dict()))
    x = torch.randn(1, 3, frames, 56, 56)
    with torch.no_grad():
        found, expected = ours(x), trained(x)
    assert found.shape == expected.shape
    assert found.isfinite().all() and found.std() > 0
    assert (found - expected).abs().max() < 1e-4


def test_restatement_has_the_parameters_of_the_reference(trained):
    theirs = {k: v.shape for k, v in reference().state_dict().items()}
    ours = {k: v.shape for k, v in trained.state_dict().items()}
    for mapping in (theirs, ours):
        for name in ('fc.weight', 'fc.bias'):
            mapping.pop(name, None)
    assert theirs == ours


def test_converter_tool_feeds_pretrained(trained, tmp_path):
    source, target = tmp_path / 'tv.pth', tmp_path / 'mm.pth'
    torch.save(trained.state_dict(), source)
    script = ROOT / 'tools/convert/r3d18.py'
    subprocess.run(
        [sys.executable, script, source, target], check=True, cwd=tmp_path
    )
    ours = backbone()
    ours.init_weights(pretrained=str(target))
    for name, value in convert_r3d18(trained.state_dict()).items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_converter_refuses_other_checkpoints():
    with pytest.raises(ValueError, match='no checkpoint of torchvision'):
        convert_r3d18({'conv1.weight': torch.zeros(1)})
    mixed = R3D18().state_dict()  # mc3_18: the same names, flat kernels
    mixed['layer4.1.conv2.0.weight'] = torch.zeros(512, 512, 1, 3, 3)
    with pytest.raises(ValueError, match='no checkpoint of torchvision'):
        convert_r3d18(mixed)
