import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from micacl_mm.models.backbones import resnet3d
from micacl_mm.registry import MODELS

video = pytest.importorskip('torchvision.models.video')
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def trained():
    """torchvision's, whose norms are not the identity."""
    torch.manual_seed(0)
    model = video.r3d_18()
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


def test_backbone_is_r3d18_layer_by_layer(trained):
    ours = backbone()
    weights = without_classifier(trained)
    ours.load_state_dict(weights)
    x = torch.randn(1, 3, 8, 40, 40)
    with torch.no_grad():
        found, expected = ours(x), trained.stem(x)
        for number in (1, 2, 3, 4):
            expected = getattr(trained, f'layer{number}')(expected)
    assert found.shape == expected.shape
    assert found.isfinite().all() and found.std() > 0
    assert (found - expected).abs().max() < 1e-4


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
    flat = video.mc3_18().state_dict()  # the same names, flat kernels
    with pytest.raises(ValueError, match='48 of 60 .* not layer2.0.conv1.co'):
        started(flat)


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
