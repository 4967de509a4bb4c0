"""Image models of other libraries and their checkpoints."""

import copy
import re
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import load_state_dict

from micacl_mm.registry import MODELS
from tests.sets import logged

from .cases import (
    MMPRETRAIN,
    PLAIN_VIT,
    RESNET,
    SMALL_RESNET,
    TIMM,
    TORCHVISION,
    VIT,
    Tiny,
    build,
    clips,
    close,
    naive_mean,
    randomised,
    recognizer,
)


@pytest.mark.parametrize('name', MMPRETRAIN)
def test_mmpretrain_equals_its_own_model_frame_by_frame(name):
    pytest.importorskip('mmpretrain')
    cfg = MMPRETRAIN[name]
    model = build(cfg, chunk_size=4)
    model.init_weights()
    theirs = MODELS.build(dict(cfg, _scope_='mmpretrain'))
    theirs.load_state_dict(model.backbone.state_dict())
    theirs.eval(), model.eval()

    def vector(frame):
        out = theirs(frame)[-1]
        if name == 'raw':
            return torch.stack([*out.unbind(1)]).mean(0)
        return out if out.dim() == 2 else out.mean((2, 3))

    x = clips()
    found = model(x)
    assert found.shape[2:] == (1, 1, 1)
    close(found.flatten(1), naive_mean(vector, x))


@pytest.mark.parametrize('name', TIMM)
def test_timm_equals_the_vector_before_its_classifier(name):
    timm = pytest.importorskip('timm')
    cfg = TIMM[name]
    model = build(cfg, chunk_size=4).eval()
    args = {k: v for k, v in cfg.items() if k != 'type'}
    theirs = timm.create_model(cfg['type'][5:], num_classes=10, **args).eval()
    left = theirs.load_state_dict(model.backbone.state_dict(), strict=False)
    assert left.unexpected_keys == [] and len(left.missing_keys) == 2

    def vector(frame):
        maps = theirs.forward_features(frame)
        return theirs.forward_head(maps, pre_logits=True)

    x = clips()
    close(model(x).flatten(1), naive_mean(vector, x))


def before(model, path):
    """A function that returns what goes into the layer at ``path``."""
    seen = []
    model.get_submodule(path).register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )

    def vector(frame):
        model(frame)
        return seen.pop()

    return vector


@pytest.mark.parametrize('name', TORCHVISION)
def test_torchvision_equals_what_enters_its_classifier(name):
    models = pytest.importorskip('torchvision.models')
    cfg, path = TORCHVISION[name]
    model = build(cfg, chunk_size=4).eval()
    args = {k: v for k, v in cfg.items() if k != 'type'}
    theirs = getattr(models, cfg['type'].partition('.')[2])(**args).eval()
    left = theirs.load_state_dict(model.backbone.state_dict(), strict=False)
    assert left.unexpected_keys == [] and len(left.missing_keys) == 2
    x = clips()
    close(model(x).flatten(1), naive_mean(before(theirs, path), x))


def test_torchvision_googlenet_loses_its_extra_classifiers():
    pytest.importorskip('torchvision')
    cfg = dict(type='torchvision.googlenet', init_weights=False)
    model = build(cfg)  # in training the model returned three outputs
    feature = model(clips(1, 2))
    feature.sum().backward()
    assert feature.shape == (1, 1024, 1, 1, 1)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ('name', 'module', 'command'),
    [
        ('mmpretrain.ResNet', 'mmpretrain.models', 'mmpretrain==1.2.0'),
        ('timm.resnet18', 'timm', 'timm torch=='),
        ('torchvision.resnet18', 'torchvision.models', 'torchvision torch=='),
    ],
)
def test_a_missing_library_is_named(monkeypatch, name, module, command):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'run: pip install {command}'):
        build(dict(type=name))


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('torchvision.models', 'shufflenet_v2_x0_5'),
        ('timm.models', 'test_resnet'),
        ('mmpretrain.models', 'VisionTransformer'),
        ('mmaction.models', 'ResNet'),
        (Tiny.__module__, 'Tiny'),
    ],
)
def test_a_new_style_config_survives_a_dump(tmp_path, module, name):
    pytest.importorskip(module)
    args = {
        'VisionTransformer': f'img_size=32, patch_size=16, arch={VIT}',
        'ResNet': 'depth=18',
    }.get(name, '')
    saved = tmp_path / 'weights.pth'
    (tmp_path / 'first.py').write_text(
        f'from {module} import {name}\n'
        'from mmengine.model import PretrainedInit\n'
        'from micacl_mm.models.backbones import FrameBackbone\n'
        'model = dict(type=FrameBackbone, backbone=dict('
        f'type={name}, init_cfg=dict(type=PretrainedInit, '
        f'checkpoint={str(saved)!r}), {args}))\n'
    )
    first = Config.fromfile(tmp_path / 'first.py')
    first.dump(tmp_path / 'second.py')
    second = Config.fromfile(tmp_path / 'second.py')
    assert isinstance(second.model.backbone.type, str)
    models = [MODELS.build(cfg.model) for cfg in (first, second)]
    expected = randomised(models[0].backbone).state_dict()
    torch.save(expected, saved)
    expected = copy.deepcopy(expected)
    for model in models:
        model.init_weights()
        torch.testing.assert_close(model.backbone.state_dict(), expected)
    x = clips(1, 2)
    close(models[1].eval()(x), models[0].eval()(x))


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
