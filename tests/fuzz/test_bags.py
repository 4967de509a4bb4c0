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
    @fuzzed(15)
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
