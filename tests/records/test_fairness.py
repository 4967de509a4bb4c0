"""Within a data set all methods differ in nothing but their model.

What else a method has to change it declares, in a variable ``departures`` of
its leaf: patterns of dotted config keys, each with a reason.
"""

from fnmatch import fnmatchcase

import pytest

from .methods import (
    FAMILIES,
    FOLDER,
    HARD,
    LARGE,
    METHODS,
    ON_REFERENCE,
    REFERENCE,
    SETS,
    flatten,
    load,
)

#: Names with which a dataset file computes its pipelines. What comes of them
#: stands in the pipelines.
HELPERS = ('size', 'changes')
#: All that may be declared, by whom, and where. To add to it is a decision.
SIZE = {'*pipeline.*.scale': LARGE, '*dataloader.batch_size': LARGE}
SAMPLER = {'train_dataloader.sampler.*': ('balanced_sampling',)}
ALLOWED = {
    'dfew': {**SIZE, **SAMPLER},
    'ferv39k': {**SIZE, **SAMPLER},
    'synthetic': SAMPLER,
}
LEAVES = [(name, method) for name in SETS for method in METHODS]
each_leaf = pytest.mark.parametrize('name, method', LEAVES)


def protocol(cfg):
    """All of a config but the model, as paths and values."""
    rest = cfg.to_dict()
    for key in ('model', 'departures', *HELPERS):
        rest.pop(key, None)
    return flatten(rest)


def differing(cfg, reference):
    """Paths at which a config is not its reference."""
    one, other = protocol(cfg), protocol(reference)
    missing = object()
    return {
        path
        for path in one.keys() | other.keys()
        if one.get(path, missing) != other.get(path, missing)
    }


def undeclared(cfg, reference):
    """Differences that no declared pattern covers, and patterns without."""
    found, patterns = differing(cfg, reference), cfg.get('departures', {})
    hidden = {
        path
        for path in found
        if not any(fnmatchcase(path, pattern) for pattern in patterns)
    }
    stale = {
        pattern
        for pattern in patterns
        if not any(fnmatchcase(path, pattern) for path in found)
    }
    return hidden, stale


@pytest.mark.parametrize('name', SETS)
def test_every_method_is_there(name):
    found = {path.stem for path in (FOLDER / name).glob('*.py')}
    assert found == set(METHODS)
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(
        SETS
    )


@each_leaf
def test_leaves_differ_as_declared_and_in_nothing_else(name, method):
    hidden, stale = undeclared(load(name, method), load(name, REFERENCE))
    assert hidden == set() and stale == set()


@each_leaf
def test_only_what_was_decided_is_declared(name, method):
    declared = load(name, method).get('departures', {})
    assert set(declared) == {
        pattern
        for pattern, methods in ALLOWED[name].items()
        if method in methods
    }
    assert all(len(reason.split()) > 2 for reason in declared.values())


@each_leaf
def test_what_is_declared_has_the_decided_values(name, method):
    cfg = load(name, method)
    real = name != 'synthetic'
    large = method in LARGE and real
    size = 224 if large else 112 if real else 48
    for part in ('train', 'val', 'test'):
        loader = cfg[f'{part}_dataloader']
        double = not real and part == 'train'
        assert loader.batch_size == (16 if large else 64 if double else 32)
        scales = [
            tuple(step.scale)
            for step in loader.dataset.pipeline
            if step.type == 'Resize'
        ]
        assert scales == [(size, size)]
    sampler = dict(type='DefaultSampler', shuffle=True)
    if method == 'balanced_sampling':
        sampler = dict(type='ClassBalancedSampler', power=1.0)
    assert cfg.train_dataloader.sampler == sampler
    assert 'paramwise_cfg' not in cfg.optim_wrapper
    # Half the batch has half the rate.
    assert cfg.auto_scale_lr.enable == real


@pytest.mark.parametrize(
    'path, value',
    [
        ('train_dataloader.batch_size', 48),
        ('train_cfg.max_epochs', 11),
        ('optim_wrapper.optimizer.lr', 1.0),
        ('train_dataloader.dataset.pipeline', []),
        ('param_scheduler', []),
        ('load_from', 'somewhere.pth'),
        ('new', 0),
    ],
)
def test_a_hidden_change_is_seen(path, value):
    cfg = load('synthetic', 'micacl').copy()
    cfg.merge_from_dict({path: value})
    hidden, _ = undeclared(cfg, load('synthetic', REFERENCE))
    assert hidden and all(found.startswith(path) for found in hidden)


def test_an_idle_declaration_is_seen():
    cfg = load('synthetic', 'balanced_sampling').copy()
    cfg.departures = {**cfg.departures, 'train_cfg.*': 'a longer training'}
    _, stale = undeclared(cfg, load('synthetic', REFERENCE))
    assert stale == {'train_cfg.*'}


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('method', ON_REFERENCE)
def test_on_the_common_backbone_neck_and_loss_are_all(name, method):
    models = [load(name, m).model.to_dict() for m in (method, REFERENCE)]
    necks = [model.pop('neck') for model in models]
    losses = [model['cls_head'].pop('loss_cls', None) for model in models]
    for model in models:
        del model['cls_head']['in_channels']
    if method in HARD:  # smoothing is part of the loss
        del models[1]['cls_head']['label_smooth_eps']
        assert models[0]['cls_head'].pop('label_smooth_eps') == 0
    assert models[0] == models[1]
    changed = (necks[0] != necks[1]) + (losses[0] != losses[1])
    assert changed == (method != 'balanced_sampling')
    assert necks[0].get('num_instances', 4) == 4


@each_leaf
def test_heads_share_the_rules(name, method):
    model = load(name, method).model
    head = model.cls_head
    assert head.num_classes == 7 and head.average_clips == 'prob'
    assert head.label_smooth_eps == (0.0 if method in HARD else 0.1)
    if method in FAMILIES:
        loss = head.get('loss_cls', dict(type='CrossEntropyLoss'))
        assert loss == dict(type='CrossEntropyLoss')
    assert not model.get('test_cfg') and not model.get('train_cfg')
    rate = 0.2 if name == 'synthetic' else 0.5
    # Where the field trains transformers without, it stays so on real sets.
    exempt = name != 'synthetic' and head.type == 'TimeSformerHead'
    assert head.get('dropout_ratio', 0.5) == rate or exempt
    assert model.data_preprocessor.get('blending') is None


@pytest.mark.parametrize('method', METHODS)
def test_a_method_is_the_same_on_both_real_sets(method):
    cfgs = [load(name, method) for name in ('dfew', 'ferv39k')]
    assert cfgs[0].model == cfgs[1].model
    assert cfgs[0].get('departures') == cfgs[1].get('departures')
    assert differing(*cfgs) == differing(
        *[load(name, REFERENCE) for name in ('dfew', 'ferv39k')]
    )


@pytest.mark.parametrize('method', METHODS)
def test_small_models_are_of_the_same_parts(method):
    kinds = [
        {
            path: value
            for path, value in flatten(load(name, method).model).items()
            if path.endswith('type')
        }
        for name in ('dfew', 'synthetic')
    ]
    assert kinds[0] == kinds[1]


@each_leaf
def test_nothing_is_fetched(name, method):
    values = flatten(load(name, method).to_dict())
    assert not any('://' in str(value) for value in values.values())
    assert not any(
        value
        for path, value in values.items()
        if path.rpartition('.')[2].startswith('pretrained')
    )


def test_families_join_the_instances_of_the_same_bags():
    for name, method in LEAVES:
        preprocessor = load(name, method).model.data_preprocessor
        view = preprocessor.get('view', 'bag')
        expected = 'frames' if method == 'tsm' else 'clip'
        assert view == (expected if method in FAMILIES else 'bag')
