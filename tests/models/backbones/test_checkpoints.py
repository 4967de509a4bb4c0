import copy
import re

import pytest
import torch
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import load_state_dict

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
    warnings_of_log,
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
    with warnings_of_log() as found:
        model.init_weights()
    assert any(re.search(f'fills .* and not {last}', f) for f in found)
    # Afterwards, loading is as free as ever.
    load_state_dict(model.backbone, {'nothing': torch.zeros(1)})


def test_the_wrappers_own_init_cfg(tmp_path):
    saved = randomised(build(dict(type=Tiny))).state_dict()
    torch.save(saved, tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    model = build(dict(type=Tiny), init_cfg=init_cfg)
    model.init_weights()
    torch.testing.assert_close(model.state_dict(), saved)
    init_cfg = dict(type='Constant', layer='Conv2d', val=0.5, bias=0.25)
    model = build(dict(type=Tiny), init_cfg=init_cfg)
    model.init_weights()
    assert (model.backbone.conv1.weight == 0.5).all()


def test_timm_weights_survive_init_weights():
    # MMEngine would call timm's own init_weights, which starts anew.
    pytest.importorskip('timm')
    model = recognizer(
        dict(type='FrameBackbone', backbone=TIMM['vit']), channels=64
    )
    loaded = copy.deepcopy(randomised(model.backbone).state_dict())
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), loaded)


def save_vit(tmp_path, vit, **others):
    """Weights of a ViT and others in a file; the init_cfg that loads it."""
    torch.save({**state_of(vit), **others}, tmp_path / 'w.pth')
    return dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))


def test_a_vit_of_timm_in_mmpretrains_is_refused(tmp_path):
    pytest.importorskip('mmpretrain')
    pytest.importorskip('timm')
    sizes = dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2)
    timm_vit = dict(type='timm.vit_base_patch16_224', img_size=32, **sizes)
    init_cfg = save_vit(tmp_path, timm_vit)
    with pytest.raises(ValueError, match='fills 2 of 30 .*timm.NAME'):
        build(dict(PLAIN_VIT, init_cfg=init_cfg)).init_weights()


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


def test_weights_that_fit_nothing_are_reported(tmp_path):
    pytest.importorskip('mmpretrain')
    classifier = {'head.fc.weight': torch.zeros(1), 'fc.bias': torch.zeros(1)}
    for vit, expected in ((PLAIN_VIT, []), (MMPRETRAIN['dinov2'], ['gamma'])):
        vit = dict(vit, img_size=32, patch_size=16)
        cfg = dict(PLAIN_VIT, init_cfg=save_vit(tmp_path, vit, **classifier))
        with warnings_of_log() as found:
            build(cfg).init_weights()
        found = [line for line in found if 'checkpoint fills' in line]
        assert len(found) == len(expected)
        for line, name in zip(found, expected, strict=True):
            assert re.search(f'fills 30 of 30 .*4 of its own.*{name}', line)


def test_the_image_models_checkpoint_in_the_wrapper(tmp_path):
    torch.save(state_of(dict(type=Tiny)), tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    with pytest.raises(ValueError, match='fills 0 .* init_cfg in its own'):
        build(dict(type=Tiny), init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize('form', [list, dict])
def test_weights_are_loaded_last_of_all(tmp_path, form):
    # MMPretrain's ViT draws new position embeddings after loading these.
    pytest.importorskip('mmpretrain')
    init_cfg = save_vit(tmp_path, PLAIN_VIT)
    saved = torch.load(tmp_path / 'w.pth')
    init_cfg = dict(init_cfg, type=PretrainedInit)
    if form is list:
        other = dict(type='Constant', layer='LayerNorm', val=3.0)
        init_cfg = [other, dict(init_cfg, type='Pretrained')]
    model = build(dict(PLAIN_VIT, init_cfg=init_cfg))
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), saved)


def test_a_child_config_may_take_the_checkpoint_back():
    build(dict(SMALL_RESNET, init_cfg=None)).init_weights()


def test_several_checkpoints_fill_it_together(tmp_path):
    whole = build(dict(type=Tiny)).backbone.state_dict()
    last = {n: w + 1 for n, w in whole.items() if n.startswith('layers.7')}
    assert 0 < len(last) < len(whole)
    for name, weights in (('whole', whole), ('last', last)):
        torch.save(weights, tmp_path / f'{name}.pth')
    init_cfg = [
        dict(type='Pretrained', checkpoint=str(tmp_path / f'{name}.pth'))
        for name in ('whole', 'last')
    ]
    model = build(dict(type=Tiny, init_cfg=init_cfg))
    model.init_weights()
    for name, weight in model.backbone.state_dict().items():
        torch.testing.assert_close(weight, last.get(name, whole[name]))
