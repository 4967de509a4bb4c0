"""Crops to the fraction of a pixel."""

import cv2
import numpy as np
import pytest

from micacl_mm.faces import crop_face, square_boxes


def noise(height=40, width=50):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def ramp(height=60, width=80):
    """An image whose grey is a linear function of the place."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.float32(x + 2 * y)


def test_squares_by_hand():
    boxes = [[0, 0, 10, 20], [5, 5, 25, 15]]
    assert square_boxes(boxes, 0.0).tolist() == [
        [-5, 0, 15, 20],
        [5, 0, 25, 20],
    ]
    assert square_boxes(boxes[0], 0.25).tolist() == [-10, -5, 20, 25]
    assert square_boxes(boxes[0], -0.25).tolist() == [0, 5, 10, 15]


def test_squares_keep_centre_and_have_the_side():
    rng = np.random.default_rng(0)
    corners = rng.normal(0, 50, (100, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 90, (100, 2))])
    squares = square_boxes(boxes, 0.3)
    sides = squares[:, 2:] - squares[:, :2]
    longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
    np.testing.assert_allclose(sides, np.stack([1.6 * longer] * 2, axis=1))
    np.testing.assert_allclose(
        squares[:, :2] + squares[:, 2:], boxes[:, :2] + boxes[:, 2:]
    )


def test_a_margin_that_leaves_nothing():
    with pytest.raises(ValueError, match='margin must be above -0.5'):
        square_boxes([[0, 0, 1, 1]], -0.5)


@pytest.mark.parametrize(
    ('x', 'y', 'side'), [(0, 0, 40), (7, 3, 20), (49, 39, 1)]
)
def test_whole_pixels_are_copied(x, y, side):
    image = noise()
    crop = crop_face(image, [x, y, x + side, y + side])
    np.testing.assert_array_equal(crop, image[y : y + side, x : x + side])


@pytest.mark.parametrize('factor', [2, 3, 5])
def test_shrinking_is_the_mean_of_the_pixels(factor):
    image = noise(30, 30)
    crop = crop_face(image, [0, 0, 30, 30], 30 // factor)
    blocks = image.reshape(30 // factor, factor, 30 // factor, factor, 3)
    mean = blocks.astype(float).mean((1, 3))
    assert np.abs(crop - mean).max() <= 0.51


@pytest.mark.parametrize('size', [7, 20, 33, 64])
@pytest.mark.parametrize(
    'square', [[5.3, 8.7, 25.3, 28.7], [10, 4, 60, 54], [3.5, 3.5, 4.5, 4.5]]
)
def test_places_are_kept_to_the_fraction_of_a_pixel(square, size):
    crop = crop_face(ramp(), square, size)
    step = (square[2] - square[0]) / size
    centres = (np.arange(size) + 0.5) * step
    expected = (square[0] + centres) + 2 * (square[1] + centres)[:, None]
    # OpenCV interpolates at 1/32 of a pixel.
    np.testing.assert_allclose(crop, expected, atol=0.11)


def test_beyond_the_image_its_border_is_repeated():
    image = noise()
    padded = cv2.copyMakeBorder(image, 9, 9, 9, 9, cv2.BORDER_REPLICATE)
    for x, y in [(-9, -9), (35, -4), (-3, 25), (30, 20)]:
        crop = crop_face(image, [x, y, x + 24, y + 24])
        expected = padded[y + 9 : y + 33, x + 9 : x + 33]
        np.testing.assert_array_equal(crop, expected)


def test_an_oblong_box_gives_the_square_of_its_longer_side():
    image = noise()
    crop = crop_face(image, [10, 10, 20, 30])
    np.testing.assert_array_equal(crop, image[10:30, 5:25])


def test_grey_images():
    grey = noise()[..., 0]
    crop = crop_face(grey, [3, 3, 13, 13])
    np.testing.assert_array_equal(crop, grey[3:13, 3:13])


@pytest.mark.parametrize(
    'box',
    [
        [5, 5, 5, 5],
        [9, 9, 5, 5],
        [np.nan, 0, 5, 5],
        [50, 0, 60, 10],
        [0, -10, 10, 0],
    ],
)
def test_boxes_that_show_nothing(box):
    with pytest.raises(ValueError, match='the box must be finite'):
        crop_face(noise(), box)


def test_a_size_that_is_none():
    with pytest.raises(ValueError, match='size must be 1 or more'):
        crop_face(noise(), [0, 0, 5, 5], 0)
