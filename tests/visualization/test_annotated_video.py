"""What is drawn on the frames of a video."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from micacl_mm.apis.clips import open_clip
from micacl_mm.apis.predictions import BagPrediction, ClipPrediction
from micacl_mm.faces import FaceTrack
from micacl_mm.utils.video import read_video
from micacl_mm.visualization.annotated_video import (
    annotate_video,
    draw_bars,
    draw_box,
)
from micacl_mm.visualization.plots import mark_of

LEFT, LENGTH = 100, 212
EMPTY = (228, 228, 228)


def colour(k):
    return tuple(bytes.fromhex(mark_of(k)['color'][1:]))


def predict(scores, **kwargs):
    """A clip of two seconds and windows with equal scores."""
    bags = [BagPrediction(k, k + 1, scores=np.array(scores)) for k in (0, 1)]
    names = tuple(f'name {k}' for k in range(len(scores)))
    return ClipPrediction(
        'clip', 'clip', names, bags=bags, seconds=2.0, **kwargs
    )


def bars(prediction, scores):
    """Draw bars; tops, lengths and colours of them, found in the pixels."""
    page = Image.new('RGB', (LEFT + 240, 360), (255, 255, 255))
    draw_bars(ImageDraw.Draw(page), prediction, np.array(scores), LEFT)
    pixels = np.asarray(page)
    ends = (pixels[:, LEFT + 14 + LENGTH] == EMPTY).all(-1)
    tops = np.flatnonzero(np.diff(ends.astype(int), prepend=0) == 1)
    assert {int(np.argmin(ends[top:])) for top in tops} == {9}
    middle = pixels[tops + 4, LEFT + 14 : LEFT + 15 + LENGTH]
    lengths = (middle != EMPTY).any(-1).sum(1) - 1
    return tops, lengths, [tuple(m[0]) for m in middle]


@pytest.mark.parametrize('face', [None, 0])
@pytest.mark.parametrize('count', [3, 7, 14])
def test_a_bar_for_each_class_in_their_order(count, face):
    scores = np.random.default_rng(count).dirichlet(np.ones(count))
    tops, lengths, colours = bars(predict(scores, face=face), scores)
    assert len(tops) == count
    np.testing.assert_allclose(lengths, scores * LENGTH, atol=1)
    assert colours == [colour(k) for k in range(count)]


@pytest.mark.parametrize('count', [16, 30, 400])
def test_of_many_classes_the_highest(count):
    scores = np.random.default_rng(count).dirichlet(np.ones(count))
    tops, lengths, _ = bars(predict(scores), scores)
    assert len(tops) == 15 and np.diff(tops).min() >= 22
    expected = np.sort(scores)[::-1][:15] * LENGTH
    np.testing.assert_allclose(lengths, expected, atol=1)


@pytest.mark.parametrize(
    'box', [(150, 60, 199, 90), (5, 2, 40, 30), (150, -30, 260, 130)]
)
@pytest.mark.parametrize('scores', [(0.1, 0.9), (np.nan, np.nan)])
def test_labels_stay_inside_the_frame(box, scores):
    """Also of a face at the border, and where its class is unknown."""
    page = Image.new('RGB', (400, 300))
    args = predict((0.1, 0.9), face=1), np.array(box, float), np.array(scores)
    draw_box(ImageDraw.Draw(page), *args, (100, 200))
    x1, y1, x2, y2 = box
    white = (np.asarray(page) == 255).all(-1)
    ys, xs = np.nonzero(white)  # of the letters
    assert len(xs) > 20 and ys.max() < 100 and xs.max() < 200


@pytest.mark.parametrize('count', [30])
def test_a_video_with_boxes(count, tmp_path):
    boxes = np.tile([5.0, 20, 25, 40], (5, 1))
    track = FaceTrack(np.arange(5), boxes, np.ones(5))
    scores = np.random.default_rng(0).dirichlet(np.ones(count))
    prediction = predict(scores, track=track, face=0)
    array = np.full((20, 60, 40, 3), 200, np.uint8)
    clip = open_clip(array, 'clip', fps=10)
    path = annotate_video([prediction], clip, tmp_path / 'a.mp4')
    pages = list(read_video(str(path)))
    assert len(pages) == 20
    x, y = 10 * 6, 40 * 6  # on the lower side of the box
    expected = colour(int(scores.argmax()))
    assert np.abs(pages[0][y, x].astype(int) - expected).max() < 60
    assert np.abs(pages[10][y, x].astype(int) - 200).max() < 8
