"""Bags of any shape and type through the necks and the contrastive loss."""

import math

import pytest
import torch

from micacl_mm.models import GEIIM, WIAN, MCCLLoss, NeckChain


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
