"""The fused contrastive term against autograd on whole matrices."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from micacl_mm.models.losses import fused_contrast
from micacl_mm.models.losses.functional import FORMS, mccl

CLASSES = 4


def problem(size, keys=0, blended=False, dtype=torch.double, seed=0):
    """Features, labels, and what else mccl takes; the anchors lead."""
    g = torch.Generator().manual_seed(seed)
    total = size + keys
    features = torch.randn(total, 8, generator=g, dtype=dtype)
    labels = torch.randint(CLASSES, (total,), generator=g)
    labels[0] = CLASSES  # alone in its class
    if blended:
        hard = torch.eye(CLASSES + 1, dtype=dtype)[labels]
        share = torch.rand(total, 1, generator=g, dtype=dtype).round(
            decimals=1
        )
        labels = hard * share + hard.roll(1, 0) * (1 - share)
    options = dict(
        temperature=torch.rand(size, generator=g, dtype=dtype) + 0.05,
        weights=torch.rand(size, generator=g, dtype=dtype),
    )
    return features, labels, options


def value_and_grads(fused, features, labels, size, keys=True, **options):
    anchors = features[:size].clone().requires_grad_()
    others = features[size:].clone().requires_grad_()
    if keys:
        options.update(keys=torch.cat([anchors, others]), key_labels=labels)
    loss = mccl(anchors, labels[:size], fused=fused, **options)
    inputs = [anchors, others] if keys else [anchors]
    return loss.detach(), torch.autograd.grad(loss, inputs)


@pytest.fixture(params=['one block', 'small blocks', 'no matrix'])
def blocks(request, monkeypatch):
    if request.param != 'one block':
        monkeypatch.setattr(fused_contrast, 'ROWS', 3)
    if request.param == 'no matrix':
        monkeypatch.setattr(fused_contrast, 'LARGEST_MATRIX', 4)


@pytest.mark.parametrize('blended', [False, True])
@pytest.mark.parametrize('include_self', [False, True])
@pytest.mark.parametrize('keys', [False, True])
@pytest.mark.parametrize('form', FORMS)
def test_equals_autograd(blocks, form, keys, include_self, blended):
    size, others = 10, 4 if keys else 0
    features, labels, options = problem(size, others, blended)
    features[3] = 0  # without a direction
    options.update(form=form, include_self=include_self, keys=keys)
    found = value_and_grads(True, features, labels, size, **options)
    expected = value_and_grads(False, features, labels, size, **options)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert found[1][0].abs().max() > 1e-3


@pytest.mark.parametrize('form', FORMS)
def test_equals_autograd_in_single_precision(form):
    features, labels, options = problem(300, dtype=torch.float32)
    found, expected = (
        value_and_grads(
            fused, features, labels, 300, keys=False, form=form, **options
        )
        for fused in (True, False)
    )
    torch.testing.assert_close(found[0], expected[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('form', FORMS)
def test_gradcheck(blocks, form):
    features, labels, options = problem(6, 3)
    others = features[6:].clone().requires_grad_()

    def loss(anchors, others):
        keys = torch.cat([anchors, others])
        return mccl(
            anchors, labels[:6], keys, labels, fused=True, form=form, **options
        )

    anchors = features[:6].clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (anchors, others))
    assert torch.autograd.gradcheck(
        lambda x: mccl(x, labels[:6], fused=True, form=form, **options),
        (anchors,),
    )


def test_constant_keys_get_no_gradient_and_change_no_other(blocks):
    features, labels, options = problem(10, 6)
    expected = value_and_grads(False, features, labels, 10, **options)
    found = value_and_grads(True, features, labels, 10, constants=2, **options)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1][0], expected[1][0])
    torch.testing.assert_close(found[1][1][:4], expected[1][1][:4])
    assert not found[1][1][4:].any()


@pytest.mark.parametrize('temperature', [1e-4, 1e-2, 1e3])
@pytest.mark.parametrize('form', FORMS)
def test_finite_at_any_temperature(form, temperature):
    features, labels, _ = problem(40, dtype=torch.float32)
    # Positives that point away: their share underflows beside the others'.
    features[1], labels[1], labels[2] = -features[2], CLASSES, CLASSES
    labels[0] = 0
    options = dict(form=form, temperature=temperature, keys=False)
    found = value_and_grads(True, features, labels, 40, **options)
    expected = value_and_grads(False, features, labels, 40, **options)
    assert all(torch.isfinite(x).all() for x in (found[0], *found[1]))
    # Logits are cosines, right to 1e-7, divided by the temperature.
    near = max(1e-5, 1e-6 / temperature)
    torch.testing.assert_close(found, expected, rtol=near, atol=near)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
    'labels', [[0], [0, 1, 2]], ids=['one video', 'no positive pair']
)
def test_exactly_zero_without_a_positive_pair(blocks, form, labels):
    labels = torch.tensor(labels)
    for given in (labels, torch.eye(3)[labels]):
        features = torch.randn(len(labels), 8, requires_grad=True)
        loss = mccl(features, given, form=form, fused=True)
        loss.backward()
        assert loss.item() == 0
        assert not features.grad.any()


def test_takes_a_scaled_gradient():
    features, labels, _ = problem(20)
    features.requires_grad_()
    loss = mccl(features, labels, fused=True)
    (once,) = torch.autograd.grad(loss, features, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, features)
    torch.testing.assert_close(thrice, 3 * once)


def test_second_derivatives_are_refused_not_wrong():
    features, labels, _ = problem(20)
    features.requires_grad_()
    with pytest.raises(RuntimeError, match='set fused=False'):
        torch.autograd.grad(
            mccl(features, labels), features, create_graph=True
        )
    (slope,) = torch.autograd.grad(
        mccl(features, labels, fused=False), features, create_graph=True
    )
    assert torch.autograd.grad(slope.square().sum(), features)[0].any()


class LargestTensor(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize('keys', [False, True])
def test_no_quadratic_tensor_in_large_batches(monkeypatch, keys):
    monkeypatch.setattr(fused_contrast, 'LARGEST_MATRIX', 100**2)
    monkeypatch.setattr(fused_contrast, 'ROWS', 4)
    sizes = {}
    for fused in (True, False):
        features, labels, _ = problem(400)
        with LargestTensor() as largest:
            value_and_grads(fused, features, labels, 400, keys=keys)
        sizes[fused] = largest.numel
    assert sizes[True] == 400 * 8  # the features
    assert sizes[False] >= 400**2


def test_temperatures_and_weights_can_learn():
    features, labels, options = problem(40)
    options = {k: v.requires_grad_() for k, v in options.items()}
    loss = mccl(features, labels, **options)
    for grad in torch.autograd.grad(loss, list(options.values())):
        assert torch.isfinite(grad).all()
        assert grad.any()


def test_looks_at_values_without_graph():
    features, labels, _ = problem(40)
    with torch.no_grad():
        loss = mccl(features, labels, fused=True)
    expected = mccl(features, labels, fused=False)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
