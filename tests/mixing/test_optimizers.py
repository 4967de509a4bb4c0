"""MMAction2's constructors of optimizers give our parts a rate, once each."""

from collections import Counter

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS

from ..models.helpers import samples
from .examples import OUT, load

#: A leaf and the channels of its small backbone.
CASES = {
    'default': ('mccl_slowonly_actions', 64),
    'swin': ('wian_swin_dfew', 192),
    'mvit': ('geiim_wian_mvit_dfew', 96),
    'vit': ('micacl_videomae_dfew', 48),
}
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


def chain_of(channels, num_instances=4, **loss):
    return dict(
        type='NeckChain',
        num_instances=num_instances,
        necks=[
            dict(type='GEIIM', in_channels=channels),
            dict(type='WIAN', in_channels=channels, out_channels=OUT),
        ],
        aux_loss=dict(
            type='MCCLLoss', in_channels=OUT, prototypes=True, **loss
        ),
    )


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


@pytest.mark.parametrize('case', CASES)
def test_every_parameter_of_ours_is_in_one_group(case):
    name, channels = CASES[case]
    cfg = load(name, small=True)
    neck = chain_of(channels, num_classes=7, projection_channels=8)
    cfg.model.neck = ConfigDict(neck)
    cfg.model.cls_head.update(in_channels=OUT, num_classes=7)
    rates = check_each_once(MODELS.build(cfg.model), cfg)
    own = {rates[key] for key in rates if key.startswith('neck.')}
    assert own == {cfg.optim_wrapper.optimizer.lr}


def test_a_child_of_stock_tsm_takes_the_default_constructor(tmp_path):
    """TSM's knows convolutions, linear layers and BatchNorm alone."""
    neck = chain_of(512, num_instances=8, class_counts=[5, 4, 3])
    text = CHILD.format(neck=neck)
    models = {}
    for name, whole in (('refused', text), ('cured', text + CURE)):
        path = tmp_path / f'{name}.py'
        path.write_text(whole)
        cfg = Config.fromfile(path)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        models[name] = MODELS.build(cfg.model), cfg
    model, cfg = models['refused']
    assert cfg.optim_wrapper.constructor == 'TSMOptimWrapperConstructor'
    with pytest.raises(ValueError, match='New atomic module type'):
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
