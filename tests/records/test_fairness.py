"""On a set, methods differ in their model and in what is listed here."""

import inspect
from fnmatch import fnmatchcase

import pytest
from mmengine.runner import Runner

from .methods import (
    FAMILIES,
    HARD,
    LARGE,
    METHODS,
    ON_REFERENCE,
    PUBLISHED,
    REFERENCE,
    SETS,
    flatten,
    load,
)

#: All that may differ outside of the model. To add to it is a decision.
ALLOWED = {
    'balanced_sampling': {'train_dataloader.sampler.*'},
    # Weights for 224 px, and the memory that these take.
    **dict.fromkeys(LARGE, {'*pipeline.*.scale', '*_dataloader.batch_size'}),
}
LEAVES = [(name, method) for name in SETS for method in METHODS]
each_leaf = pytest.mark.parametrize('name, method', LEAVES)
#: What MMEngine reads of a config, but the model.
PARTS = {*inspect.signature(Runner.__init__).parameters} - {'self', 'model'}


def protocol(cfg):
    """All of a config that can change a result, but the model."""
    rest = {key: v for key, v in cfg.to_dict().items() if key in PARTS}
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


@each_leaf
def test_methods_share_data_schedule_and_runtime(name, method):
    found = differing(load(name, method), load(name, REFERENCE))
    allowed = ALLOWED.get(method, set())
    if name == 'synthetic' and method in LARGE:
        allowed = set()
    uses = {p for p in allowed if any(fnmatchcase(f, p) for f in found)}
    assert uses == allowed
    for path in found:
        assert any(fnmatchcase(path, pattern) for pattern in allowed), path


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('method', [*PUBLISHED, *ON_REFERENCE])
def test_on_the_common_backbone_neck_and_loss_are_all(name, method):
    models = [load(name, m).model.to_dict() for m in (method, REFERENCE)]
    necks = [model.pop('neck') for model in models]
    losses = [model['cls_head'].pop('loss_cls', None) for model in models]
    for model in models:
        del model['cls_head']['in_channels']
    if method in HARD:  # smoothing is part of the loss
        del models[1]['cls_head']['label_smooth_eps']
        assert models[0]['cls_head'].pop('label_smooth_eps') == 0
    if method in PUBLISHED:
        assert models[0]['cls_head'].pop('dropout_ratio') == 0
        del models[1]['cls_head']['dropout_ratio']
        for model in models:
            mean, std = (
                model['data_preprocessor'].pop(k) for k in ('mean', 'std')
            )
            if model is models[0]:
                assert mean == [0] * 3 and std == [255] * 3
    assert models[0] == models[1]
    changed = (necks[0] != necks[1]) + (losses[0] != losses[1])
    assert bool(changed) == (method != 'balanced_sampling')
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
    exempt |= method in PUBLISHED
    assert head.get('dropout_ratio', 0.5) == rate or exempt
    preprocessor = model.data_preprocessor
    assert preprocessor.get('blending') is None
    # Families join the instances of the same bags.
    view = 'frames' if method == 'tsm' else 'clip'
    view = view if method in FAMILIES else 'bag'
    assert preprocessor.get('view', 'bag') == view
    # Nothing is fetched.
    for path, value in flatten(load(name, method).to_dict()).items():
        assert '://' not in str(value)
        assert not (path.rpartition('.')[2].startswith('pretrained') and value)


@pytest.mark.parametrize('method', METHODS)
def test_a_method_is_the_same_on_both_real_sets(method):
    cfgs = [load(name, method) for name in ('dfew', 'ferv39k')]
    assert cfgs[0].model == cfgs[1].model
    assert differing(*cfgs) == differing(
        *[load(name, REFERENCE) for name in ('dfew', 'ferv39k')]
    )


@pytest.mark.parametrize(
    'name, classes, methods',
    [
        ('mafw', 11, METHODS),
        *[(name, 6, ['micacl_plus']) for name in ('cremad', 'cremad_lt')],
        *[(name, k, ['mccl']) for name, k in (('ravdess', 8), ('caer', 7))],
    ],
)
def test_models_have_the_classes_of_the_set(name, classes, methods):
    for method in methods:
        values = flatten(load(name, method).model.to_dict())
        found = {v for k, v in values.items() if k.endswith('num_classes')}
        assert found == {classes}, method
