"""The colour jitter of a clip against the stock one, pixel by pixel."""

from itertools import permutations

import numpy as np
import pytest
from mmaction.datasets.transforms import ColorJitter

from micacl_mm.datasets import ClipColorJitter
from tests.sets import noise, picture

RECIPE = dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0)


def both(images, order, seed, **options):
    """Outputs of both, and the next random number of each."""
    found = []
    for kind in (ClipColorJitter, ColorJitter):
        jitter = kind(**options)
        jitter.fn_idx = np.array(order)
        np.random.seed(seed)
        given = dict(imgs=[image.copy() for image in images])
        out = np.array(jitter(given)['imgs'])
        found += [out, np.random.random()]
    ours, our_next, stock, next_ = found
    assert our_next == next_
    assert ours.dtype == stock.dtype and ours.shape == stock.shape
    return ours.astype(int), stock.astype(int)


@pytest.mark.parametrize('order', list(permutations(range(4))), ids=str)
def test_differs_by_one_level_at_most(order):
    images = [picture(24, 20, seed) for seed in range(3)]
    for seed in range(2):
        ours, stock = both(images, order, seed, **RECIPE)
        assert np.abs(ours - stock).max() <= 1
        # Rounding to both sides: nothing is brighter or darker on the whole.
        assert abs((ours - stock).mean()) < 0.1


@pytest.mark.parametrize(
    'options',
    [
        dict(brightness=1, contrast=1, saturation=1, hue=0),
        dict(brightness=(1, 1), contrast=(1, 1), saturation=(1, 1), hue=0),
        dict(brightness=(0, 0), contrast=(2, 2), saturation=(0, 0), hue=0),
        dict(brightness=(2, 2), contrast=(0, 0), saturation=(2, 2), hue=0),
    ],
    ids=['wide', 'identity', 'dark', 'bright'],
)
def test_extremes(options):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    images = [noise, np.zeros_like(noise), np.full_like(noise, 255)]
    for seed in range(8):
        ours, stock = both(images, (2, 0, 1, 3), seed, **options)
        assert np.abs(ours - stock).max() <= 1


@pytest.mark.parametrize('order', list(permutations(range(4))), ids=str)
def test_hue(order):
    """Equal by itself; behind others what they have rounded moves some."""
    images = [picture(24, 20, 0), noise(1)[:20, :20]]
    alone = dict(brightness=0, contrast=0, saturation=0, hue=0.5)
    for seed in range(2):
        for image in images:
            ours, stock = both([image], order, seed, **alone)
            assert np.array_equal(ours, stock)
            ours, stock = both([image], order, seed, **{**RECIPE, 'hue': 0.4})
            gap = np.abs(ours - stock)
            assert gap.mean() < 0.5 and (gap <= 2).mean() > 0.97


def test_frames_of_other_types_are_the_stock_transforms():
    image = picture(8, 8).astype(np.float32)
    ours, stock = both([image], (0, 1, 2, 3), 2, **RECIPE)
    assert np.array_equal(ours, stock)


def test_the_order_is_drawn_as_in_stock():
    orders = []
    for kind in (ClipColorJitter, ColorJitter):
        np.random.seed(4)
        orders.append(kind(**RECIPE).fn_idx.tolist())
    assert orders[0] == orders[1]
