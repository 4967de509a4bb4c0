"""MMAction2's constructors of optimizers give our parts a rate, once each."""

from collections import Counter

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS

from ..models.helpers import samples
from .examples import ACTIONS, NAMES, OUT, build, load

CHANNELS = {
    'mccl_slowonly_actions': 64,
    'wian_swin_dfew': 192,
    'geiim_wian_mvit_dfew': 96,
    'micacl_videomae_dfew': 48,
    'mccl_tsm_actions': 512,
}
#: A leaf, its constructor and the arguments of it.
CASES = {
    'default': ('mccl_slowonly_actions', None, None),
    'default, by name': (
        'mccl_slowonly_actions',
        'DefaultOptimWrapperConstructor',
        dict(norm_decay_mult=0.0, custom_keys=dict(neck=dict(lr_mult=2))),
    ),
    'swin': ('wian_swin_dfew', 'SwinOptimWrapperConstructor', ...),
    'mvit': (
        'geiim_wian_mvit_dfew',
        'LearningRateDecayOptimizerConstructor',
        ...,
    ),
    'vit': (
        'micacl_videomae_dfew',
        'LearningRateDecayOptimizerConstructor',
        ...,
    ),
}
WHOLE_LOSS = dict(projection_channels=8, prototypes=True)
REFUSED = r'New atomic module type: .*{}.*Need to give it a learning policy'
# A guest's config on stock TSM; the cure is what it must add to train.
CHILD = """
_base_ = [
    'mmaction::recognition/tsm/'
    'tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb.py'
]
custom_imports = dict(imports=['micacl_mm'], allow_failed_imports=False)
model = dict(
    backbone=dict(depth=18, pretrained=None),
    neck={neck},
    cls_head=dict(
        _delete_=True,
        type='TSNHead',
        num_classes=3,
        in_channels=64,
        average_clips='prob',
    ),
)
"""
CURE = """
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True),
)
"""


def mccl(classes, channels, **options):
    return dict(
        type='MCCLLoss', num_classes=classes, in_channels=channels, **options
    )


def neck_of(part, channels, **loss):
    """A neck and the channels that leave it."""
    shared = dict(in_channels=channels)
    geiim = dict(type='GEIIM', weight_source='adjacency', **shared)
    wian = dict(type='WIAN', out_channels=OUT, **shared)
    if part == 'MCCL':
        aux_loss = mccl(7, channels, **loss)
        neck = dict(type='PassThroughNeck', num_instances=1, aux_loss=aux_loss)
        return neck, channels
    if part == 'GEIIM':
        return dict(geiim, aux_loss=mccl(7, channels, **loss)), channels
    if part == 'WIAN':
        return dict(wian, aux_loss=mccl(7, OUT, **loss)), OUT
    neck = dict(
        type='NeckChain',
        num_instances=4,
        necks=[geiim, wian],
        aux_loss=mccl(7, OUT, **loss),
    )
    return neck, OUT


def with_neck(name, part, **loss):
    """The small twin of a leaf with another neck."""
    cfg = load(name, small=True)
    neck, channels = neck_of(part, CHANNELS[name], **loss)
    cfg.model.neck = ConfigDict(neck)
    cfg.model.cls_head.update(in_channels=channels, num_classes=7)
    return cfg


def groups_of(model, cfg):
    """The groups that each learning parameter is in."""
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    found = {n: [] for n, p in model.named_parameters() if p.requires_grad}
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            if parameter.requires_grad:
                found[names[id(parameter)]].append(group)
    return found


def check_each_once(model, cfg):
    groups = groups_of(model, cfg)
    ours = [name for name in groups if name.startswith('neck.')]
    # None of the parts is frozen, and the loss is among them.
    assert len(ours) == len(list(model.neck.parameters())) > 0
    assert any(name.startswith('neck.aux_loss.') for name in ours)
    assert Counter(map(len, groups.values())) == {1: len(groups)}
    return {name: group['lr'] for name, (group,) in groups.items()}


@pytest.mark.parametrize('part', ['GEIIM', 'WIAN', 'MCCL', 'chain'])
@pytest.mark.parametrize('case', CASES)
def test_every_parameter_of_ours_is_in_one_group(case, part):
    name, constructor, arguments = CASES[case]
    cfg = with_neck(name, part, **WHOLE_LOSS)
    if arguments is ...:  # as the leaf has it
        assert cfg.optim_wrapper.constructor == constructor
    elif constructor:
        cfg.optim_wrapper.update(
            constructor=constructor, paramwise_cfg=ConfigDict(arguments)
        )
    rates = check_each_once(MODELS.build(cfg.model), cfg)
    base = cfg.optim_wrapper.optimizer.lr
    own = {rates[key] for key in rates if key.startswith('neck.')}
    assert own == {2 * base if case == 'default, by name' else base}


def test_tsm_constructor_knows_the_projection_of_mccl():
    cfg = with_neck('mccl_tsm_actions', 'MCCL', projection_channels=8)
    model = MODELS.build(cfg.model)
    rates = check_each_once(model, cfg)
    base = cfg.optim_wrapper.optimizer.lr
    # fc_lr5 is for the classifier, not for our last layer.
    assert rates['cls_head.fc_cls.weight'] == pytest.approx(5 * base)
    assert rates['neck.aux_loss.projection.2.weight'] == base


@pytest.mark.parametrize(
    ('part', 'loss', 'unknown'),
    [
        ('GEIIM', {}, 'AdaptiveAdjacency'),
        ('WIAN', {}, 'LSTM'),
        ('chain', {}, 'AdaptiveAdjacency'),
        ('MCCL', dict(prototypes=True), 'Embedding'),
    ],
)
def test_tsm_constructor_refuses_what_it_does_not_know(part, loss, unknown):
    """Upstream's limit: convolutions, linear layers and BatchNorm alone."""
    cfg = with_neck('mccl_tsm_actions', part, **loss)
    model = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match=REFUSED.format(unknown)):
        build_optim_wrapper(model, cfg.optim_wrapper)


@pytest.mark.parametrize('part', ['GEIIM', 'chain'])
def test_a_child_of_stock_tsm_takes_the_default_constructor(tmp_path, part):
    head = CHILD
    aux_loss = mccl(3, OUT, prototypes=True, class_counts=[5, 4, 3])
    geiim = dict(type='GEIIM', in_channels=512)
    wian = dict(type='WIAN', in_channels=512, out_channels=OUT)
    neck = dict(type='NeckChain', necks=[geiim, wian], aux_loss=aux_loss)
    if part == 'GEIIM':
        neck = dict(geiim, aux_loss=dict(aux_loss, in_channels=512))
        head = head.replace('in_channels=64', 'in_channels=512')
    text = head.format(neck=dict(neck, num_instances=8))
    models = {}
    for name, whole in (('refused', text), ('cured', text + CURE)):
        path = tmp_path / f'{name}.py'
        path.write_text(whole)
        cfg = Config.fromfile(path)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        models[name] = MODELS.build(cfg.model), cfg
    model, cfg = models['refused']
    assert cfg.optim_wrapper.constructor == 'TSMOptimWrapperConstructor'
    with pytest.raises(ValueError, match=REFUSED.format('')):
        build_optim_wrapper(model, cfg.optim_wrapper)
    model, cfg = models['cured']
    assert cfg.optim_wrapper.paramwise_cfg == {}
    assert cfg.optim_wrapper.optimizer.momentum == 0.9  # the schedule stays
    rates = check_each_once(model, cfg)
    assert set(rates.values()) == {cfg.optim_wrapper.optimizer.lr}

    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = model.neck.aux_loss.prototypes.weight.detach().clone()
    losses = model(torch.rand(2, 8, 3, 32, 32), samples([0, 1]), mode='loss')
    wrapper.update_params(model.parse_losses(losses)[0])
    assert not torch.equal(model.neck.aux_loss.prototypes.weight, before)


@pytest.mark.parametrize('name', NAMES)
def test_rates_of_backbone_and_neck(name):
    cfg, slower = load(name, small=True), 'backbone.'
    if name == 'micacl_clip_dfew':
        pytest.importorskip('mmpretrain')
        # A learned pooling is as new as a neck: it takes the whole rate.
        slower = 'backbone.backbone.'
        cfg.model.backbone.update(pooling='attention', in_channels=48)
    groups = groups_of(build(cfg), cfg)
    assert Counter(map(len, groups.values())) == {1: len(groups)}
    rates = {key: group['lr'] for key, (group,) in groups.items()}
    base = cfg.optim_wrapper.optimizer.lr
    if name in ACTIONS:
        assert base == 0.02 and cfg.optim_wrapper.optimizer.type == 'SGD'
        assert min(rates.values()) == base
        return
    own = {
        key: rate for key, rate in rates.items() if not key.startswith(slower)
    }
    assert set(own.values()) == {base}
    assert any('.attention.' in key for key in own) or 'clip' not in name
    inner = [rate for key, rate in rates.items() if key not in own]
    assert max(inner) <= base and min(inner) <= 0.5 * base
    # No rate is below what the schedule ends at, or it would rise.
    assert all(s.get('eta_min', 0) == 0 for s in cfg.param_scheduler)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs
