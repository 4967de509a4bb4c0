"""MCCLLoss: class counts, heads, precisions, and the co-author's numbers."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn import functional as F

from micacl_mm.models.losses import (
    MCCLLoss,
    class_temperatures,
    class_weights,
    mccl,
    mccl_loss,
)

DFEW = [1956, 1515, 2135, 1738, 1175, 116, 721]
#: As the co-author's code of June 2025 has it.
AUTHOR = dict(
    form='out',
    include_self=True,
    pooled=True,
    temperature_mode='batch',
    class_weight='raw_inverse',
    loss_weight=1.0,
)


@pytest.fixture(scope='module')
def vectors():
    """Inputs, and what running that code on them gave, in float64."""
    with np.load(Path(__file__).parent / 'data' / 'author_loss.npz') as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture
def inputs(vectors):
    leaves = (vectors[n].clone() for n in ('features', 'logits'))
    return [leaf.requires_grad_() for leaf in leaves]


def author_loss(vectors, scales=(1, 2, 4), focal='attached'):
    counts = vectors['class_counts'].tolist()
    return MCCLLoss(None, counts, scales, focal=focal, **AUTHOR)


def check(found, inputs, vectors, name):
    grads = torch.autograd.grad(found, inputs)
    for part, value in zip(
        ('value', 'grad_features', 'grad_logits'), (found, *grads), strict=True
    ):
        expected = vectors[f'{name}/{part}']
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('scales', [(1,), (2,), (1, 2, 4)])
def test_value_and_gradients_of_the_author_code(vectors, inputs, scales):
    loss = author_loss(vectors, scales)
    found = loss(inputs[0], vectors['labels'], inputs[1])
    check(found, inputs, vectors, 'scales_' + '_'.join(map(str, scales)))


def test_a_linear_layer_on_each_scale(vectors, inputs):
    """With the layers that the co-author's code draws at each call."""
    loss, terms = author_loss(vectors, (1,)), []
    for scale in (1, 2, 4):
        pooled = F.avg_pool1d(inputs[0][:, None], scale)[:, 0]
        weight, bias = (
            vectors[f'projected/{part}_{scale}'] for part in ('weight', 'bias')
        )
        projected = F.linear(pooled, weight, bias)
        terms.append(loss(projected, vectors['labels'], inputs[1]))
    check(torch.stack(terms).mean(), inputs, vectors, 'projected')


def test_detached_scores_change_the_gradient_alone(vectors, inputs):
    loss = author_loss(vectors, focal='detached')
    found = loss(inputs[0], vectors['labels'], inputs[1])
    expected = vectors['scales_1_2_4/value'].item()
    assert found.item() == pytest.approx(expected, rel=1e-9)
    grads = torch.autograd.grad(found, inputs, allow_unused=True)
    torch.testing.assert_close(
        grads[0], vectors['scales_1_2_4/grad_features'], rtol=1e-9, atol=1e-12
    )
    assert grads[1] is None
    one_hot = F.one_hot(vectors['labels'], 7).double()
    torch.testing.assert_close(loss(inputs[0], one_hot, inputs[1]), found)


def test_class_weights_have_mean_one_and_favour_the_rare():
    for kind, raw in {
        'inverse': [1 / n for n in DFEW],
        'inverse_sqrt': [n**-0.5 for n in DFEW],
        'none': [1.0] * 7,
    }.items():
        found = class_weights(torch.tensor(DFEW), kind)
        scaled = torch.tensor(raw) * 7 / sum(raw)
        torch.testing.assert_close(found, scaled, rtol=1e-4, atol=1e-4)
        assert found.argmax() == (0 if kind == 'none' else 5)


def test_absent_class_gets_no_weight_and_breaks_nothing():
    weights = class_weights(torch.tensor([10, 0, 5]), 'inverse')
    assert weights.isfinite().all() and weights[1] == 0
    assert weights.sum().item() == pytest.approx(2)
    loss = MCCLLoss(class_counts=[10, 0, 5])
    assert loss(torch.randn(4, 8), torch.tensor([0, 0, 2, 2])).isfinite()


def test_temperatures():
    counts, best = torch.tensor(DFEW), max(DFEW)
    factor = sum(1 + n / best for n in DFEW) / 7
    assert factor == pytest.approx(1.626, abs=1e-3)
    for mode, expected in {
        'global': [factor] * 7,
        'batch': [1 + n / best for n in DFEW],
        'per_class': [2 - n / best for n in DFEW],
        'constant': [1.0] * 7,
    }.items():
        found = class_temperatures(counts, 0.07, mode)
        torch.testing.assert_close(found, 0.07 * torch.tensor(expected))


def test_module_equals_function_for_classes_and_distributions():
    z, y = torch.randn(14, 8), torch.arange(14) % 7
    for labels in (y, torch.rand(14, 7).softmax(1), F.one_hot(y, 7).float()):
        for mode in ('global', 'per_class'):
            tau = class_temperatures(torch.tensor(DFEW), 0.07, mode)
            weights = class_weights(torch.tensor(DFEW), 'inverse_sqrt')
            if labels is y:
                tau, weights = tau[y], weights[y]
            else:
                tau, weights = labels @ tau, labels @ weights
            expected = mccl(z, labels, temperature=tau, weights=weights)
            loss = MCCLLoss(
                class_counts=DFEW, temperature_mode=mode, loss_weight=0.3
            )
            torch.testing.assert_close(loss(z, labels), 0.3 * expected)


def test_prototypes_give_every_anchor_a_positive():
    plain = MCCLLoss(class_counts=[5, 5], loss_weight=1)
    helped = MCCLLoss(
        class_counts=[5, 5], prototypes=True, in_channels=8, loss_weight=1
    )
    z, y = torch.randn(2, 8), torch.tensor([0, 1])
    assert plain(z, y).item() == 0
    loss = helped(z, y)
    loss.backward()
    assert loss.item() > 0 and helped.prototypes.weight.grad.abs().sum() > 0
    # The prototypes are keys, never anchors: compare with the function.
    keys = torch.cat([z, helped.prototypes.weight])
    expected = mccl(z, y, keys, torch.tensor([0, 1, 0, 1]), temperature=0.14)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(helped(z, F.one_hot(y)), expected)


def test_projection_head_is_used():
    loss = MCCLLoss(
        class_counts=[5, 5],
        projection_channels=4,
        in_channels=8,
        loss_weight=1,
    )
    z, y = torch.randn(6, 8), torch.arange(6) % 2
    expected = mccl(loss.projection(z), y, temperature=0.14)
    torch.testing.assert_close(loss(z, y), expected)


def test_warmup_follows_the_iteration_of_the_runner():
    loss = MCCLLoss(class_counts=[5, 5], warmup_iters=4)
    z, y = torch.randn(6, 8), torch.arange(6) % 2
    full = MCCLLoss(class_counts=[5, 5])(z, y).item()
    hub = MessageHub.get_instance('test_warmup')
    values = []
    for step in range(6):
        hub.update_info('iter', step)
        values.append(loss(z, y).item() / full)
    assert values == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    hub.update_info('iter', 1)
    assert loss.eval()(z, y).item() == pytest.approx(full)


def test_given_counts_win_and_others_travel():
    loss = MCCLLoss(num_classes=2)
    loss.set_class_counts([7, 2])
    other = MCCLLoss(num_classes=2)
    other.load_state_dict(loss.state_dict())
    assert other.class_counts.tolist() == [7, 2]
    given = MCCLLoss(class_counts=[3, 1])
    given.set_class_counts([7, 7])
    # Also those of a copy, as an average of weights makes one.
    for fixed in (given, copy.deepcopy(pickle.loads(pickle.dumps(given)))):
        torch.nn.Sequential(fixed).load_state_dict(
            torch.nn.Sequential(loss).state_dict()
        )
        assert fixed.class_counts.tolist() == [3, 1]
    z, y = torch.randn(6, 8), torch.arange(6) % 2
    torch.testing.assert_close(loss(z, y), MCCLLoss(class_counts=[7, 2])(z, y))
    assert loss(z, y) != given(z, y)


def test_half_precision_is_computed_in_float32():
    loss = MCCLLoss(class_counts=[5, 5], temperature=0.01)
    z, y = torch.randn(8, 16), torch.arange(8) % 2
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = loss(z.bfloat16(), y)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(z.bfloat16().float(), y))
    head = MCCLLoss(class_counts=[5, 5], in_channels=16, projection_channels=8)
    assert head.bfloat16()(z.bfloat16(), y).isfinite()


@pytest.mark.parametrize('labels', [[0], [0, 1, 2], [0, 1, 1]])
def test_a_loss_that_never_finds_a_positive_warns_once(monkeypatch, labels):
    said = []
    monkeypatch.setattr(mccl_loss, 'PATIENCE', 3)
    monkeypatch.setattr(
        mccl_loss, 'print_log', lambda text, **_: said.append(text)
    )
    y = torch.tensor(labels)
    expected = 1 if len(set(labels)) == len(labels) else 0
    for truth in (y, F.one_hot(y, 3).float()):
        loss, said[:] = MCCLLoss(class_counts=[5, 5, 5]), []
        for _ in range(7):
            loss(torch.randn(len(y), 8), truth)
        assert len(said) == expected
        assert all('ClassAwareBatchSampler' in text for text in said)
        for _ in range(7):
            loss.eval()(torch.randn(1, 8), truth[:1])
        assert len(said) == expected


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(), 'give num_classes'),
        (dict(class_counts=[1, 2], num_classes=3), 'must be 3 numbers'),
        (dict(class_counts=[0, 0]), 'not all of them 0'),
        (dict(class_counts=[-1, 2]), 'class_counts must be 2 numbers'),
        (dict(num_classes=2, queue_size=-1), 'at least 0'),
        (dict(num_classes=2, temperature=9.9e-7), 'must be .* 1e-06'),
        (dict(num_classes=2, temperature=float('nan')), 'must be .* 1e-06'),
        (dict(num_classes=2, form='x'), 'form must be one of'),
        (dict(num_classes=2, class_weight='x'), 'class_weight must be'),
        (dict(num_classes=2, temperature_mode='x'), 'temperature_mode must'),
        (dict(num_classes=2, focal='on'), 'focal must be one of'),
        (dict(num_classes=2, scales=()), 'positive and not empty'),
        (dict(num_classes=2, scales=(-1,)), 'positive and not empty'),
        (dict(num_classes=2, prototypes=True), 'need in_channels'),
        (dict(num_classes=2, queue_size=4), 'need in_channels'),
    ],
)
def test_wrong_options(options, match):
    with pytest.raises(ValueError, match=match):
        MCCLLoss(**options)


def test_errors_say_what_to_change():
    z, y = torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    needless = MCCLLoss(
        num_classes=2, class_weight='none', temperature_mode='constant'
    )
    torch.testing.assert_close(needless(z, y), 0.1 * mccl(z, y))
    two, narrow = dict(class_counts=[1, 1]), dict(in_channels=6)
    for options, labels, scores, match in (
        (dict(num_classes=2), y, (), 'ClassCountsHook'),
        (two, torch.rand(4, 2), (), 'mixup'),
        (two, torch.rand(4, 3).softmax(1), (), 'set in_.* and num_classes'),
        (dict(class_counts=[1]), y, (), 'from 0 to 1; classes count from 0'),
        ({**two, **narrow, 'prototypes': True}, y, (), r'floats \(B, 6\)'),
        ({**two, **narrow, 'queue_size': 4}, y, (), r'floats \(B, 6\)'),
        (dict(two, focal='attached'), y, (), 'needs the class scores'),
        (dict(two, focal='detached'), y, (torch.zeros(4, 3),), r'got \(4, 3'),
    ):
        with pytest.raises(ValueError, match=match):
            MCCLLoss(**options)(z, labels, *scores)
