import copy
import math
import pickle
from copy import deepcopy

import pytest
import torch
import torch._dynamo
from mmengine.logging import MessageHub

from micacl_mm.models.losses import (
    MCCLLoss,
    class_temperatures,
    class_weights,
    mccl,
)
from micacl_mm.models.necks import NeckChain

DFEW = [1956, 1515, 2135, 1738, 1175, 116, 721]


def naive(z, y, scales, tau, weights, form, include_self):
    """The docstring's formulas, pair by pair, in plain Python."""
    z, total = z.double(), 0.0
    for s in scales:
        groups = z.chunk(s, dim=1)
        scale_total = 0.0
        for part in groups:
            unit = [row / max(row.norm().item(), 1e-12) for row in part]
            for i in range(len(y)):
                ks = [k for k in range(len(y)) if include_self or k != i]
                ps = [k for k in ks if y[k] == y[i]]
                if not ps:
                    continue
                e = {
                    k: math.exp((unit[i] @ unit[k]).item() / tau[i])
                    for k in ks
                }
                whole = sum(e.values())
                share = sum(e[p] for p in ps) / whole
                scale_total += (
                    weights[i]
                    * {
                        'ratio': lambda share=share: -share,
                        'log': lambda share=share: -math.log(share),
                        'out': lambda e=e, ps=ps, whole=whole: (
                            -sum(math.log(e[p] / whole) for p in ps) / len(ps)
                        ),
                    }[form]()
                )
        total += scale_total / (s * len(y))
    return total / len(scales)


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
@pytest.mark.parametrize('include_self', [False, True])
@pytest.mark.parametrize('scales', [(1,), (2,), (1, 2, 4)])
def test_equals_explicit_sums(form, include_self, scales):
    z = torch.randn(9, 8, dtype=torch.double)
    y = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])  # 3 stands alone
    tau, weights = torch.rand(9).double() + 0.2, torch.rand(9).double()
    found = mccl(
        z,
        y,
        scales=scales,
        temperature=tau,
        weights=weights,
        form=form,
        include_self=include_self,
    )
    expected = naive(
        z,
        y.tolist(),
        scales,
        tau.tolist(),
        weights.tolist(),
        form,
        include_self,
    )
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_plain_setting_equals_supcon_of_pytorch_metric_learning():
    losses = pytest.importorskip('pytorch_metric_learning.losses')
    z = torch.randn(32, 16, requires_grad=True)
    y = torch.arange(32) % 7
    ours = mccl(z, y, scales=(1,), temperature=0.1, form='out')
    theirs = losses.SupConLoss(temperature=0.1)(z, y)
    torch.testing.assert_close(ours, theirs)
    a, b = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(a, b)


def test_groups_equal_separate_calls_on_pytorch_metric_learning():
    losses = pytest.importorskip('pytorch_metric_learning.losses')
    z, y = torch.randn(24, 16), torch.arange(24) % 3
    ours = mccl(z, y, scales=(1, 2, 4), temperature=0.2, form='out')
    supcon = losses.SupConLoss(temperature=0.2)
    scales = [
        torch.stack([supcon(part, y) for part in z.chunk(s, 1)]).mean()
        for s in (1, 2, 4)
    ]
    torch.testing.assert_close(ours, torch.stack(scales).mean())


def test_two_pairs_by_hand():
    # Opposite classes at a right angle: cosines 1 within, 0 across.
    z = torch.tensor([[1.0, 0], [2.0, 0], [0, 1.0], [0, 5.0]])
    y = torch.tensor([0, 0, 1, 1])
    share = math.e / (math.e + 2)
    for form, value in (('log', -math.log(share)), ('ratio', -share)):
        found = mccl(z, y, scales=(1,), temperature=1.0, form=form)
        assert found.item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
def test_gradcheck(form):
    z = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    y = torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(
        lambda x: mccl(x, y, temperature=0.5, form=form), z
    )


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
@pytest.mark.parametrize('labels', [[0], [0, 1, 2], [0, 0, 0], [0, 0, 1]])
def test_degenerate_batches(form, labels):
    z = torch.randn(len(labels), 8, requires_grad=True)
    loss = mccl(z, torch.tensor(labels), form=form)
    loss.backward()
    assert loss.isfinite() and z.grad.isfinite().all()
    if len(set(labels)) == len(labels):
        assert loss.item() == 0 and not z.grad.any()


def test_one_class_alone_has_nothing_to_learn_in_log_form():
    z, y = torch.randn(4, 8), torch.zeros(4, dtype=torch.long)
    assert mccl(z, y, form='log').item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('rows', [slice(None), slice(1), slice(1, 3)])
@pytest.mark.parametrize('columns', [slice(None), slice(2)])
def test_zero_groups_get_no_gradient(rows, columns):
    z = torch.randn(4, 8)
    z[rows, columns] = 0
    z.requires_grad_()
    loss = mccl(z, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    # A plain normalisation gives gradients of 1e6 and more here.
    assert loss.isfinite() and z.grad.abs().max() < 100


def test_order_and_length_do_not_matter():
    z, y = torch.randn(12, 8), torch.arange(12) % 4
    order = torch.randperm(12)
    base = mccl(z, y)
    torch.testing.assert_close(mccl(z[order], y[order]), base)
    stretched = mccl(3 * z, y)
    torch.testing.assert_close(stretched, base)


def test_keys_with_offset_are_a_window_on_the_whole():
    z, y = torch.randn(8, 8), torch.tensor([0, 0, 1, 1, 0, 2, 2, 1])
    parts = [mccl(z[i : i + 4], y[i : i + 4], z, y, offset=i) for i in (0, 4)]
    torch.testing.assert_close(sum(parts) / 2, mccl(z, y))


def test_functional_errors():
    z, y = torch.randn(4, 6), torch.zeros(4, dtype=torch.long)
    with pytest.raises(ValueError, match='form must be one of'):
        mccl(z, y, form='x')
    with pytest.raises(ValueError, match='size 6 cannot be cut into 4'):
        mccl(z, y, scales=(4,))


def test_class_weights_have_mean_one_and_favour_the_rare():
    counts = torch.tensor(DFEW)
    expected = {
        'inverse': [1 / n for n in DFEW],
        'inverse_sqrt': [n**-0.5 for n in DFEW],
        'effective': [0.001 / (1 - 0.999**n) for n in DFEW],
        'none': [1.0] * 7,
    }
    for kind, raw in expected.items():
        found = class_weights(counts, kind)
        scaled = torch.tensor(raw) * 7 / sum(raw)
        torch.testing.assert_close(found, scaled, rtol=1e-4, atol=1e-4)
        assert found.argmax() == (0 if kind == 'none' else 5)


def test_effective_numbers_of_extreme_betas():
    counts = torch.tensor(DFEW)
    # 1 - beta^n tends to (1 - beta) n, and to 1.
    for beta, kind in (
        (0.99999999, 'inverse'),
        (1 - 1e-16, 'inverse'),
        (0, 'none'),
    ):
        found = class_weights(counts, 'effective', beta)
        torch.testing.assert_close(
            found, class_weights(counts, kind), rtol=1e-4, atol=0
        )
    loss = MCCLLoss(
        class_counts=DFEW, class_weight='effective', beta=0.99999999
    )
    assert loss(torch.randn(4, 8), torch.tensor([0, 0, 5, 5])) > 0


def test_absent_class_gets_no_weight_and_breaks_nothing():
    weights = class_weights(torch.tensor([10, 0, 5]), 'inverse')
    assert weights.isfinite().all() and weights[1] == 0
    assert weights.sum().item() == pytest.approx(2)
    loss = MCCLLoss(class_counts=[10, 0, 5])
    assert loss(torch.randn(4, 8), torch.tensor([0, 0, 2, 2])).isfinite()


def test_temperatures():
    counts = torch.tensor(DFEW)
    best = max(DFEW)
    factor = sum(1 + n / best for n in DFEW) / 7
    found = class_temperatures(counts, 0.07, 'global')
    torch.testing.assert_close(found, torch.full((7,), 0.07 * factor))
    assert factor == pytest.approx(1.626, abs=1e-3)
    each = class_temperatures(counts, 0.07, 'per_class')
    for value, n in zip(each.tolist(), DFEW, strict=True):
        assert value == pytest.approx(0.07 * (2 - n / best), abs=1e-6)
    constant = class_temperatures(counts, 0.07, 'constant')
    assert constant.tolist() == pytest.approx([0.07] * 7)


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
def test_class_weight_changes_the_gradient(form):
    z = torch.randn(8, 8, requires_grad=True)
    y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    grads = [
        torch.autograd.grad(
            MCCLLoss(class_counts=[90, 10], form=form, class_weight=kind)(
                z, y
            ),
            z,
        )[0]
        for kind in ('none', 'inverse')
    ]
    assert not torch.allclose(*grads, rtol=1e-2)
    # The rare class pulls harder, relative to the frequent one.
    share = [(g[6:].norm() / g.norm()).item() for g in grads]
    assert share[1] > share[0]


def test_module_equals_function():
    loss = MCCLLoss(class_counts=DFEW, loss_weight=0.3)
    z, y = torch.randn(14, 8), torch.arange(14) % 7
    counts = torch.tensor(DFEW)
    expected = mccl(
        z,
        y,
        temperature=class_temperatures(counts, 0.07, 'global')[y],
        weights=class_weights(counts, 'inverse_sqrt')[y],
    )
    torch.testing.assert_close(loss(z, y), 0.3 * expected)


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


def test_projection_head_is_used():
    loss = MCCLLoss(
        class_counts=[5, 5],
        projection_channels=4,
        in_channels=8,
        scales=(1, 2),
        loss_weight=1,
    )
    z, y = torch.randn(6, 8), torch.arange(6) % 2
    expected = mccl(loss.projection(z), y, scales=(1, 2), temperature=0.14)
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


def test_explicit_counts_win_and_counts_travel():
    loss = MCCLLoss(class_counts=[3, 1])
    loss.set_class_counts([7, 7])
    assert loss.class_counts.tolist() == [3, 1]
    loss = MCCLLoss(num_classes=2)
    loss.set_class_counts([7, 2])
    copy = MCCLLoss(num_classes=2)
    copy.load_state_dict(loss.state_dict())
    assert copy.class_counts.tolist() == [7, 2]
    fixed = MCCLLoss(class_counts=[3, 1])
    torch.nn.Sequential(fixed).load_state_dict(
        torch.nn.Sequential(loss).state_dict()
    )
    assert fixed.class_counts.tolist() == [3, 1]
    # Also those of a copy, as an average of weights makes one.
    twin = deepcopy(pickle.loads(pickle.dumps(fixed)))
    twin.load_state_dict(loss.state_dict())
    assert twin.class_counts.tolist() == [3, 1]


def test_half_precision_is_computed_in_float32():
    loss = MCCLLoss(class_counts=[5, 5], temperature=0.01)
    z, y = torch.randn(8, 16), torch.arange(8) % 2
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = loss(z.bfloat16(), y)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(z.bfloat16().float(), y))
    head = MCCLLoss(class_counts=[5, 5], in_channels=16, projection_channels=8)
    assert head.bfloat16()(z.bfloat16(), y).isfinite()


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('dtype', [torch.half, torch.bfloat16, torch.float32])
def test_extreme_temperatures_and_lengths_stay_finite(form, fused, dtype):
    """exp(1 / 1e-6) overflows any float, as does the square of 1e30."""
    y = torch.arange(12) % 3
    unit = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    for length in (1, 1e3, 6e4 if dtype == torch.half else 1e30):
        for temperature in (1e-6, 1e-4, 0.01, 1, 1e3):
            z = (unit * length).to(dtype).requires_grad_()
            loss = MCCLLoss(
                class_counts=[5, 2, 9],
                temperature=temperature,
                form=form,
                fused=fused,
            )(z, y)
            assert loss.isfinite(), (length, temperature)
            loss.backward()
            assert z.grad.isfinite().all(), (length, temperature)


@pytest.mark.parametrize('value', [9.9e-7, 0, -1, math.inf, math.nan])
def test_temperatures_that_overflow_are_refused(value):
    with pytest.raises(ValueError, match='temperature must be .* 1e-06'):
        MCCLLoss(num_classes=2, temperature=value)


def test_errors_say_what_to_change():
    z, y = torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match='ClassCountsHook'):
        MCCLLoss(num_classes=2)(z, y)
    needless = MCCLLoss(
        num_classes=2, class_weight='none', temperature_mode='constant'
    )
    expected = 0.1 * mccl(z, y)
    torch.testing.assert_close(needless(z, y), expected)
    with pytest.raises(ValueError, match='mixup'):
        MCCLLoss(class_counts=[1, 1])(z, torch.rand(4, 2))
    with pytest.raises(ValueError, match='a label 1; classes count from 0'):
        MCCLLoss(class_counts=[1])(z, y)
    for heads in (dict(prototypes=True), dict(projection_channels=4)):
        with pytest.raises(ValueError, match='of size 8; set in_channels=8'):
            MCCLLoss(class_counts=[1, 1], in_channels=6, **heads)(z, y)
    for bad, match in (
        (dict(), 'give num_classes'),
        (dict(class_counts=[1, 2], num_classes=3), 'make them agree'),
        (dict(class_counts=[0, 0]), 'not all be zero'),
        (dict(class_counts=[-1, 2]), 'must not be negative'),
        (dict(num_classes=2, form='x'), 'form must be one of'),
        (dict(num_classes=2, class_weight='x'), 'class_weight must be'),
        (dict(num_classes=2, temperature_mode='x'), 'temperature_mode must'),
        (dict(num_classes=2, temperature=0), 'temperature must be finite'),
        (dict(num_classes=2, scales=()), 'positive and not empty'),
        (dict(num_classes=2, scales=(-1,)), 'positive and not empty'),
        (dict(num_classes=2, beta=1.0), 'beta must be in'),
        (dict(num_classes=2, prototypes=True), 'need in_channels'),
    ):
        with pytest.raises(ValueError, match=match):
            MCCLLoss(**bad)


def test_weights_and_temperatures_follow_the_counts():
    z, y = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 1, 0])

    def fresh(counts):
        options = dict(temperature_mode='per_class', scales=(1,))
        return MCCLLoss(class_counts=counts, **options)(z, y)

    loss = MCCLLoss(num_classes=2, temperature_mode='per_class', scales=(1,))
    loss.set_class_counts([9, 1])
    torch.testing.assert_close(loss(z, y), fresh([9, 1]))
    loss.set_class_counts([1, 9])
    torch.testing.assert_close(loss(z, y), fresh([1, 9]))
    loss.load_state_dict(dict(class_counts=torch.tensor([3, 2])))
    torch.testing.assert_close(loss(z, y), fresh([3, 2]))
    torch.testing.assert_close(copy.deepcopy(loss)(z, y), fresh([3, 2]))
    assert fresh([9, 1]) != fresh([1, 9]) != fresh([3, 2])


@pytest.mark.parametrize('size', [4, 24])  # by autograd, and fused
@torch._dynamo.config.patch(allow_rnn=True)
def test_neck_and_loss_compile_to_one_graph(size):
    torch._dynamo.reset()
    neck = NeckChain(
        [
            dict(type='GEIIM', in_channels=16),
            dict(type='WIAN', in_channels=16, out_channels=16, num_heads=2),
        ]
    )
    loss = MCCLLoss(
        class_counts=[9, 3, 1],
        class_weight='effective',
        temperature_mode='batch',
        focal='attached',
        in_channels=16,
        prototypes=True,
    )
    x = torch.randn(4 * size, 16, requires_grad=True)
    y, scores = torch.arange(size) % 3, torch.randn(size, 3)

    def step(x):
        return loss(neck(x)[0].flatten(1), y, scores)

    expected = step(x)
    found = torch.compile(step, fullgraph=True, backend='aot_eager')(x)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(value, x)[0] for value in (found, expected))
    torch.testing.assert_close(*grads)
