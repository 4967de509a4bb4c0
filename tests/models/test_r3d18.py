import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn
from torch.nn import functional as F

from micacl_mm.models.backbones import resnet3d
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
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/r3d18.py')
    model = MODELS.build(cfg.model.backbone)
    model.eval()  # ResNet3d.eval returns None
    return model


@pytest.mark.parametrize('frames', [4, 16])
def test_backbone_is_r3d18_layer_by_layer(trained, frames):
    ours = backbone()
    weights = without_classifier(trained)
    ours.load_state_dict(weights)
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


def without_classifier(model):
    state = model.state_dict()
    return {k: v for k, v in state.items() if not k.startswith('fc.')}


@pytest.fixture
def started(tmp_path):
    """Backbones that start from a state dict."""

    def start(state, name='x.pth'):
        torch.save(state, tmp_path / name)
        ours = backbone()
        ours.init_weights(pretrained=str(tmp_path / name))
        return ours.state_dict()

    return start


def test_pretrained_takes_the_file_as_it_is(trained, started):
    found = started(trained.state_dict())
    expected = backbone()
    expected.load_state_dict(without_classifier(trained))
    for name, value in expected.state_dict().items():
        assert torch.equal(found[name], value), name
    again = started(found)  # by the names of MMAction2
    assert all(torch.equal(again[name], found[name]) for name in found)


def test_pretrained_that_does_not_fit_is_refused(started):
    with pytest.raises(ValueError, match=r'0 of 60 .*backbone.conv1.*r3d_18'):
        started({'backbone.conv1.conv.weight': torch.zeros(1)})
    flat = R3D18().state_dict()  # as mc3_18: the same names, flat kernels
    for name in flat:
        late = name.startswith(('layer2', 'layer3', 'layer4'))
        if late and flat[name].dim() == 5:
            flat[name] = flat[name][..., :1]
    with pytest.raises(ValueError, match='48 of 60 .* not layer2.0.conv1.co'):
        started(flat)


def test_pretrained_that_fits_in_part_is_told(trained, started, caplog):
    state = trained.state_dict()
    state['layer4.1.conv2.0.weight'] = torch.zeros(512, 512, 1, 3, 3)
    state['layer5.weight'] = torch.zeros(1)
    logger = MMLogger.get_instance('pretrained')
    logger.addHandler(caplog.handler)
    started(state)
    (told,) = [r.message for r in caplog.records if 'fills 59' in r.message]
    assert 'and not layer4.1.conv2.conv.weight' in told
    assert '1 of its own fit nothing, such as layer5.weight' in told


def test_k400_is_torchvisions_file(trained, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    path = tmp_path / 'r3d_18-00000000.pth'
    torch.save(trained.state_dict(), path)
    monkeypatch.setattr(resnet3d, 'K400_URL', path.as_uri())
    with pytest.raises(RuntimeError, match='invalid hash'):
        backbone().init_weights(pretrained='k400')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(path.with_stem(f'r3d_18-{digest}'))
    monkeypatch.setattr(resnet3d, 'K400_URL', path.as_uri())
    ours = backbone()
    ours.init_weights(pretrained='k400')
    weight = trained.state_dict()['stem.0.weight']
    assert torch.equal(ours.state_dict()['conv1.conv.weight'], weight)
