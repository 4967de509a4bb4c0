import copy
import re
import warnings

import pytest
import torch
from torch import nn

from tests.sets import logged

from .cases import (
    PLAIN_VIT,
    RESNET,
    Tiny,
    build,
    clips,
    learning,
)


def test_all_frozen():
    model = build(
        RESNET, frozen=True, pooling='attention', in_channels=32, with_cp=True
    )
    before_step = copy.deepcopy(model.backbone.state_dict())
    assert model.training
    assert not any(m.training for m in model.backbone.modules())
    assert not any(m.training for m in model.train().backbone.modules())
    out = model(clips())
    out.sum().backward()
    assert learning(model) == {
        'attention.value.weight',
        'attention.value.bias',
        'attention.gate.weight',
        'attention.gate.bias',
        'attention.score.weight',
    }
    assert all(p.grad is not None for p in model.attention.parameters())
    torch.testing.assert_close(model.backbone.state_dict(), before_step)
    pixels = clips().requires_grad_()
    assert not build(RESNET, frozen=True)(pixels).requires_grad


def test_frozen_parts_are_whole_components():
    model = build(dict(type=Tiny), frozen=('conv1.weight', 'layers.1'))
    model.train()
    still = {'conv1.weight', 'layers.1.weight', 'layers.1.bias'}
    names = dict(model.backbone.named_parameters())
    assert {n for n in names if not names[n].requires_grad} == still
    modes = {n: m.training for n, m in model.backbone.named_modules()}
    assert [n for n in modes if not modes[n]] == ['layers.1']
    x = clips(2, 3, 8)
    model(x).sum().backward()
    assert {n for n in names if names[n].grad is None} == still


def test_frozen_names_what_there_is():
    with pytest.raises(ValueError, match="'layer'.*bn1, conv1, .*layers"):
        build(dict(type=Tiny), frozen=('conv1', 'layer'))


@pytest.mark.parametrize('stages', [1, 2])
def test_what_the_image_model_freezes_is_in_eval_mode(stages):
    pytest.importorskip('mmpretrain')
    cfg = dict(
        PLAIN_VIT, frozen_stages=stages, drop_rate=0.5, drop_path_rate=0.5
    )
    model = build(cfg).train()
    vit = model.backbone
    still = [vit.patch_embed, vit.drop_after_pos, *vit.layers[:stages]]
    for part in still:
        assert not any(m.training for m in part.modules())
    for layer in vit.layers[stages:]:
        assert all(m.training for m in layer.modules())
    x = clips(4, 4)
    assert torch.equal(model(x), model(x)) == (stages == 2)


def test_the_image_models_own_freezing_keeps_working():
    pytest.importorskip('mmpretrain')
    cfg = dict(RESNET, frozen_stages=1, norm_eval=True, with_cp=True)
    model = build(cfg).train()
    names = {n.split('.')[1] for n in learning(model)}
    assert names == {'layer2', 'layer3', 'layer4'}
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # how MMPretrain calls checkpoint
        model(clips()).sum().backward()
    grads = {n for n, p in model.named_parameters() if p.grad is not None}
    assert grads == learning(model)


def test_frozen_random_values_are_reported(tmp_path):
    pytest.importorskip('mmpretrain')
    torch.save(build(PLAIN_VIT).backbone.state_dict(), tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    for cfg, kwargs, expected in (
        (dict(type=Tiny), dict(frozen='conv1'), '2 p.* Tiny .*conv1.weight'),
        (dict(PLAIN_VIT, frozen_stages=1), {}, 'VisionTrans.*patch_embed'),
        (dict(PLAIN_VIT, init_cfg=init_cfg), dict(frozen=True), None),
        (dict(type=Tiny), {}, None),
    ):
        with logged() as found:
            build(cfg, **kwargs).init_weights()
        found = [line for line in found if 'they are random' in line]
        assert len(found) == (expected is not None)
        if expected:
            assert re.search(f'{expected}.*give init_cfg', found[0])
