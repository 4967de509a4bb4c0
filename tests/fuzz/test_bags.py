"""Bags of any shape and type through the necks and the contrastive loss."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mmaction.structures import ActionDataSample

from micacl_mm.models import GEIIM, WIAN, MCCLLoss, NeckChain

from .profile import fuzzed

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OTHERS = (torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64)
SIZES = st.integers(1, 9)


def make_geiim(m, c):
    return GEIIM(c, m, zero_init=False)


def make_wian(m, c):
    neck = WIAN(c, 4, m, num_heads=2)
    torch.nn.init.constant_(neck.gain, 0.5)
    return neck


def make_chain(m, c):
    loss = dict(
        type=MCCLLoss,
        class_counts=[3, 2, 1],
        scales=[1, 2],
    )
    necks = [
        dict(type=GEIIM, in_channels=c, zero_init=False),
        dict(type=WIAN, in_channels=c, out_channels=4, num_heads=2),
    ]
    return NeckChain(necks, m, aux_loss=loss)


MAKERS = [make_geiim, make_wian, make_chain]


def features(n, m, c, dtype, form, scale, seed=0):
    """Features (N * M, C, ...) in one of the forms that backbones give."""
    x = torch.randn(n * m, c, generator=torch.Generator().manual_seed(seed))
    x = (x * scale).to(dtype)
    if form == 'map':
        return x[..., None, None, None].repeat(1, 1, 1, 2, 2)
    if form == 'strided':
        return x.repeat_interleave(2, dim=1)[:, ::2]
    return x.T.contiguous().T if form == 'turned' else x


def samples(n):
    return [ActionDataSample().set_gt_label(i % 3) for i in range(n)]


@pytest.mark.parametrize('make', MAKERS)
def test_necks(make):
    @given(
        st.integers(0, 4),
        SIZES,
        SIZES,
        st.sampled_from(FLOATS),
        st.sampled_from(['plain', 'map', 'strided', 'turned']),
        st.sampled_from([1e-3, 1.0, 30.0]),
        st.booleans(),
        st.integers(0, 99),
    )
    @example(0, 1, 1, torch.float32, 'plain', 1.0, True, 0)
    @example(1, 1, 1, torch.float16, 'map', 1.0, True, 0)
    @fuzzed(25)
    def necks(n, m, c, dtype, form, scale, training, seed):
        torch.manual_seed(seed)
        neck = make(m, c).to(dtype).train(training)
        x = features(n, m, c, dtype, form, scale, seed).requires_grad_()
        out, losses = neck(x, samples(n) if training and n else None)
        assert out.shape[0] == n and out.shape[2:] == (1, 1, 1)
        assert out.dtype == dtype
        assert out.isfinite().all()
        total = out.float().sum() + sum(map(torch.sum, losses.values()))
        assert total.isfinite()
        total.backward()
        for values in [x, *neck.parameters()]:
            assert values.grad is None or values.grad.isfinite().all()

    necks()


@pytest.mark.parametrize('make', MAKERS)
def test_necks_refuse_what_are_no_features(make):
    @given(
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from((torch.float32, *OTHERS)),
        st.integers(0, 5),
    )
    @fuzzed(25)
    def no_features(n, c, dtype, axes):
        neck = make(2, 3)
        x = torch.zeros((2 * n, c, 2, 2, 2)[:axes], dtype=dtype)
        good = c == 3 and axes in (2, 4, 5) and dtype == torch.float32
        if good:
            assert neck(x)[0].isfinite().all()
            return
        with pytest.raises((ValueError, TypeError)) as error:
            neck(x)
        assert len(str(error.value)) > 20

    no_features()


@pytest.mark.parametrize('make', MAKERS)
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_bag(make, value):
    torch.manual_seed(0)
    neck = make(2, 3).eval()
    x = torch.randn(6, 3)
    good = neck(x)[0]
    x[2, 1] = value  # of the second video
    out = neck(x)[0]
    torch.testing.assert_close(out[[0, 2]], good[[0, 2]])
    assert not out[1].isfinite().all()  # and is not hidden


@given(
    st.integers(1, 6),
    st.sampled_from([4, 8, 12]),
    st.sampled_from(FLOATS),
    st.floats(-4, 3).map(lambda power: 10**power),
    st.sampled_from(['log', 'ratio', 'out']),
    st.sampled_from([1.0, 1e-4, 300.0, 6e4, 0.0]),
    st.sampled_from([None, torch.bfloat16, torch.float16]),
    st.sampled_from(['global', 'per_class', 'constant']),
    st.booleans(),
    st.integers(0, 99),
)
@example(
    4, 8, torch.float16, 1e-4, 'log', 6e4, torch.float16, 'global', False, 0
)
@example(4, 8, torch.float16, 1e3, 'out', 6e4, None, 'per_class', False, 1)
@example(
    2, 4, torch.bfloat16, 1e-4, 'out', 1.0, torch.bfloat16, 'constant', True, 2
)
@fuzzed(60)
def test_the_contrastive_term_never_overflows(
    n, c, dtype, temperature, form, scale, autocast, mode, blended, seed
):
    loss = MCCLLoss(
        class_counts=[90, 9, 1],
        form=form,
        temperature=temperature,
        temperature_mode=mode,
    )
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, c, generator=draw).clamp(-1, 1)
    x = (scale * x).to(dtype).requires_grad_()
    labels = torch.randint(3, (n,), generator=draw)
    if blended:
        labels = torch.rand(n, 3, generator=draw).softmax(-1)
    enabled = autocast is not None
    with torch.autocast('cpu', autocast or torch.bfloat16, enabled):
        value = loss(x, labels)
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert value.isfinite()
    # Also in half precision: the gradient of a unit vector falls with the
    # length of the feature and rises with 1 / temperature.
    value.backward()
    bound = 65504 if dtype == torch.float16 else math.inf
    steep = 1 / (temperature * max(scale, 1e-4)) > bound / 100
    if not steep:
        assert x.grad.isfinite().all()
    assert not x.grad.isnan().any()


@given(
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from(FLOATS + OTHERS),
    st.lists(st.integers(-2, 4), max_size=5),
)
@fuzzed(40)
def test_the_loss_refuses_what_does_not_fit(shape, dtype, labels):
    loss = MCCLLoss(class_counts=[2, 2, 2], scales=[1])
    x, labels = torch.ones(shape, dtype=dtype), torch.tensor(labels).long()
    try:
        assert loss(x, labels).isfinite()
    except (ValueError, TypeError) as error:
        assert 'MCCLLoss' in str(error) or 'mccl' in str(error)
