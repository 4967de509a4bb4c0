import copy
import re

import pytest
import torch
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import load_state_dict

from tests.sets import logged

from .cases import (
    MMPRETRAIN,
    PLAIN_VIT,
    RESNET,
    SMALL_RESNET,
    TIMM,
    TORCHVISION,
    Tiny,
    build,
    randomised,
    recognizer,
)


def state_of(backbone):
    return copy.deepcopy(randomised(build(backbone).backbone).state_dict())


CHECKPOINTS = dict(
    mmpretrain=RESNET,
    mmpretrain_vit=MMPRETRAIN['vit'],
    timm=TIMM['vit'],
    torchvision=TORCHVISION['vit'][0],
    mmaction=SMALL_RESNET,
    stranger=dict(type=Tiny),
)


@pytest.mark.parametrize(
    ('name', 'prefix'),
    [
        *[(name, None) for name in CHECKPOINTS],
        ('mmaction', 'backbone.'),
        ('stranger', 'backbone.'),
    ],
)
def test_checkpoints_of_the_image_model(tmp_path, name, prefix):
    if name.partition('_')[0] in ('mmpretrain', 'timm', 'torchvision'):
        pytest.importorskip(name.partition('_')[0])
    cfg = CHECKPOINTS[name]
    saved = state_of(cfg)
    file = str(tmp_path / 'weights.pth')
    names = {f'{prefix or ""}{n}': value for n, value in saved.items()}
    torch.save(dict(state_dict=names), file)
    init_cfg = dict(type='Pretrained', checkpoint=file, prefix=prefix)
    model = recognizer(
        dict(type='FrameBackbone', backbone=dict(cfg, init_cfg=init_cfg))
    )
    model.init_weights()  # as a Runner does
    torch.testing.assert_close(model.backbone.backbone.state_dict(), saved)
    randomised(model)
    other = copy.deepcopy(model.backbone.state_dict())
    model.backbone.init_weights()  # a second time: not again
    torch.testing.assert_close(model.backbone.state_dict(), other)


@pytest.mark.parametrize('name', ['mmaction', 'stranger', 'timm'])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    if name == 'timm':
        pytest.importorskip('timm')
    saved = state_of(CHECKPOINTS[name])
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    cfg = dict(CHECKPOINTS[name], init_cfg=init_cfg)
    misfits = (
        {f'backbone.{n}': value for n, value in saved.items()},
        {n: value[None] for n, value in saved.items()},  # other shapes
    )
    for misfit in misfits:
        torch.save(misfit, tmp_path / 'w.pth')
        with pytest.raises(ValueError, match="fills 0 of.*prefix='b"):
            build(cfg).init_weights()
    few = dict(list(saved.items())[:1])
    torch.save(few, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match='fills 1 of.*give a checkpoint'):
        build(cfg).init_weights()
    model = build(cfg)
    last = [*dict(model.backbone.named_parameters())][-1]
    most = {n: value for n, value in saved.items() if n != last}
    torch.save(most, tmp_path / 'w.pth')
    with logged() as found:
        model.init_weights()
    assert any(re.search(f'fills .* and not {last}', f) for f in found)
    # Afterwards, loading is as free as ever.
    load_state_dict(model.backbone, {'nothing': torch.zeros(1)})


def test_timm_weights_survive_init_weights():
    # MMEngine would call timm's own init_weights, which starts anew.
    pytest.importorskip('timm')
    model = recognizer(
        dict(type='FrameBackbone', backbone=TIMM['vit']), channels=64
    )
    loaded = copy.deepcopy(randomised(model.backbone).state_dict())
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), loaded)


def test_every_frozen_parameter_must_be_filled(tmp_path):
    state = state_of(dict(type=Tiny))
    del state['bn1.weight']
    torch.save(state, tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    cfg = dict(type=Tiny, init_cfg=init_cfg)
    build(cfg, frozen='conv1').init_weights()
    for frozen in ('bn1', True):
        with pytest.raises(ValueError, match='do not learn: bn1.weight'):
            build(cfg, frozen=frozen).init_weights()


@pytest.mark.parametrize('form', [list, dict])
def test_weights_are_loaded_last_of_all(tmp_path, form):
    # MMPretrain's ViT draws new position embeddings after loading these.
    pytest.importorskip('mmpretrain')
    saved, path = state_of(PLAIN_VIT), str(tmp_path / 'w.pth')
    torch.save(saved, path)
    init_cfg = dict(type=PretrainedInit, checkpoint=path)
    if form is list:
        other = dict(type='Constant', layer='LayerNorm', val=3.0)
        init_cfg = [other, dict(type='Pretrained', checkpoint=path)]
    model = build(dict(PLAIN_VIT, init_cfg=init_cfg))
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), saved)
