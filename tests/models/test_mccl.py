"""The contrastive term: loops, SupCon, gradients, memory."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from micacl_mm.models.losses import mccl
from micacl_mm.models.losses.functional import FORMS

K = 3


def chance_of_a_positive(i, y):
    """Over all ways in which the videos can be of one class each."""
    total = 0.0
    for classes in itertools.product(*(row.nonzero()[:, 0] for row in y)):
        chance = math.prod(
            row[c].item() for row, c in zip(y, classes, strict=True)
        )
        same = [j for j, c in enumerate(classes) if j != i and c == classes[i]]
        total += chance * bool(same)
    return total


def naive(z, y, size, scales, tau, weights, form, include_self):
    """The docstring's formulas of ``size`` anchors, pair by pair."""
    losses = []
    for scale in scales:
        for part in z.chunk(scale, dim=1):
            total = 0.0
            for i in range(size):
                ks = [k for k in range(len(z)) if include_self or k != i]
                logit = {
                    k: F.cosine_similarity(part[i], part[k], 0, 1e-6) / tau[i]
                    for k in ks
                }
                # A video alone is of its own class.
                p = {k: y[i] @ y[k] if k != i else 1.0 for k in ks}
                if not sum(p.values()):
                    continue
                whole = torch.stack(list(logit.values())).logsumexp(0)
                share = sum(p[k] * (logit[k] - whole).exp() for k in ks)
                mean = sum(p[k] * (logit[k] - whole) for k in ks)
                term = {
                    'ratio': -share,
                    'log': -share.log(),
                    'out': -mean / sum(p.values()),
                }[form]
                if form != 'ratio' and not include_self:
                    term = term * chance_of_a_positive(i, y)
                total = total + weights[i] * term
            losses.append(total / (scale * size * len(scales)))
    return sum(losses)


def problem(size, keys=0, blended=False, dtype=torch.double):
    """Features, labels, and what else mccl takes; the anchors lead."""
    total = size + keys
    labels = torch.arange(total) % (K - 1)
    labels[0] = K - 1  # alone in its class
    if blended:
        hard = torch.eye(K, dtype=dtype)[labels]
        share = torch.rand(total, 1, dtype=dtype).round(decimals=1)
        labels = hard * share + hard.roll(1, 0) * (1 - share)
    options = dict(
        temperature=torch.rand(size, dtype=dtype) + 0.2,
        weights=torch.rand(size, dtype=dtype),
    )
    return torch.randn(total, 8, dtype=dtype), labels, options


@pytest.mark.parametrize('blended', [False, True])
@pytest.mark.parametrize('keys', [0, 2])
@pytest.mark.parametrize('form', FORMS)
def test_equals_explicit_sums(form, keys, blended):
    z, y, options = problem(5, keys, blended)
    z[2, :4] = 0  # a group without a direction
    z.requires_grad_()
    shares = y if blended else F.one_hot(y, K).double()
    for include_self in (False, True):
        kwargs = dict(form=form, scales=(1, 2), include_self=include_self)
        others = (z, y) if keys else ()
        found = mccl(z[:5], y[:5], *others, **kwargs, **options)
        tau, weights = options['temperature'], options['weights']
        expected = naive(z, shares, 5, tau=tau, weights=weights, **kwargs)
        torch.testing.assert_close(found, expected)
        found, expected = (
            torch.autograd.grad(loss, z)[0] for loss in (found, expected)
        )
        found[2, :4] = expected[2, :4] = 0  # ours is 0, theirs 1e6 and more
        torch.testing.assert_close(found, expected)
        assert found.abs().max() > 1e-3


@pytest.mark.parametrize('blended', [False, True])
@pytest.mark.parametrize('form', FORMS)
def test_gradcheck(form, blended):
    z, y, options = problem(5, 2, blended)

    def loss(anchors, others, temperature, weights):
        keys = torch.cat([anchors, others])
        options = dict(temperature=temperature, weights=weights)
        options.update(form=form, scales=(2,))
        return mccl(anchors, y[:5], keys, y, **options)

    inputs = [z[:5].clone(), z[5:].clone(), *options.values()]
    inputs = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs, fast_mode=True)


@pytest.mark.parametrize('include_self', [False, True])
def test_ratio_of_blends_is_the_expectation_over_drawn_classes(include_self):
    z, y = torch.randn(4, 8).double(), torch.rand(4, K).double().softmax(1)
    options = dict(form='ratio', include_self=include_self)
    expected = sum(
        math.prod(y[i, c].item() for i, c in enumerate(classes))
        * mccl(z, torch.tensor(classes), **options)
        for classes in itertools.product(range(K), repeat=4)
    )
    torch.testing.assert_close(mccl(z, y, **options), expected)


def test_equals_supcon_of_pytorch_metric_learning():
    losses = pytest.importorskip('pytorch_metric_learning.losses')
    z, y = torch.randn(24, 16, requires_grad=True), torch.arange(24) % 7
    supcon = losses.SupConLoss(temperature=0.1)
    for scales in ((1,), (1, 2, 4)):
        ours = mccl(z, y, scales=scales, temperature=0.1, form='out')
        theirs = torch.stack(
            [
                torch.stack([supcon(part, y) for part in z.chunk(s, 1)]).mean()
                for s in scales
            ]
        ).mean()
        torch.testing.assert_close(ours, theirs)
        a, b = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
        torch.testing.assert_close(a, b)


def test_two_pairs_by_hand():
    # Opposite classes at a right angle: cosines 1 within, 0 across.
    z = torch.tensor([[1.0, 0], [2.0, 0], [0, 1.0], [0, 5.0]])
    y = torch.tensor([0, 0, 1, 1])
    share = math.e / (math.e + 2)
    for form, value in (('log', -math.log(share)), ('ratio', -share)):
        found = mccl(z, y, scales=(1,), temperature=1.0, form=form)
        assert found.item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('labels', [[0], [0, 1, 2], [0, 0, 0], [0, 0, 1]])
def test_degenerate_batches(form, labels):
    labels = torch.tensor(labels)
    for given in (labels, torch.eye(3)[labels]):
        z = torch.randn(len(labels), 8, requires_grad=True)
        loss = mccl(z, given, form=form)
        loss.backward()
        assert loss.isfinite() and z.grad.isfinite().all()
        if len(set(labels.tolist())) == len(labels):  # no positive pair
            assert loss.item() == 0 and not z.grad.any()
        elif form == 'log' and not labels.any():  # one class: nothing to learn
            assert loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('form', ['log', 'out'])
def test_an_unlikely_pair_counts_little(form):
    z = torch.randn(3, 8).double().requires_grad_()
    grads = []
    for share in (1.0, 0.01):
        rows = [[1, 0, 0], [share, 1 - share, 0], [0, 0, 1]]
        loss = mccl(z, torch.tensor(rows, dtype=torch.double), form=form)
        grads.append(torch.autograd.grad(loss, z)[0])
    torch.testing.assert_close(grads[1], 0.01 * grads[0])


def test_keys_with_offset_are_a_window_on_the_whole():
    z, y = torch.randn(8, 8), torch.tensor([0, 0, 1, 1, 0, 2, 2, 1])
    parts = [mccl(z[i : i + 4], y[i : i + 4], z, y, offset=i) for i in (0, 4)]
    torch.testing.assert_close(sum(parts) / 2, mccl(z, y))


@pytest.mark.parametrize('temperature', [1e-4, 1e-2, 1e3])
@pytest.mark.parametrize('form', FORMS)
def test_finite_at_any_temperature(form, temperature):
    z, y, _ = problem(40, dtype=torch.float32)
    z[1] = -z[2]  # positives that point away: their share underflows
    y[1] = y[2] = K - 1
    z.requires_grad_()
    loss = mccl(z, y, form=form, temperature=temperature)
    (grad,) = torch.autograd.grad(loss, z)
    assert loss.isfinite() and grad.isfinite().all()
    exact = mccl(z.double(), y, form=form, temperature=temperature)
    # Logits are cosines, right to 1e-7, divided by the temperature.
    near = max(1e-5, 1e-6 / temperature)
    torch.testing.assert_close(loss, exact.float(), rtol=near, atol=near)


def test_what_cannot_be_is_refused():
    z, y = torch.randn(4, 6, requires_grad=True), torch.zeros(4).long()
    with pytest.raises(ValueError, match='form must be one of'):
        mccl(z, y, form='x')
    with pytest.raises(ValueError, match='size 6 cannot be cut into 4'):
        mccl(z, y, scales=(4,))
