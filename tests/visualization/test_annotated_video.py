"""What is drawn on the frames of a video."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from micacl_mm.apis.clips import ArrayClip
from micacl_mm.apis.predictions import BagPrediction, ClipPrediction
from micacl_mm.faces import FaceTrack
from micacl_mm.visualization import annotated_video as drawn
from micacl_mm.visualization.clip_picture import highest

LEFT, LENGTH = 100, 212


def bars(scores, usual=None):
    """Draw bars; tops, lengths and colours of them, found in the pixels."""
    count = len(scores)
    classes = [f'name {k}' for k in range(count)]
    if usual is None:
        usual = highest(scores, drawn._room(classes))
    page = Image.new('RGB', (LEFT + 240, 360), drawn._PAPER)
    draw = ImageDraw.Draw(page)
    drawn.draw_bars(draw, classes, scores, usual, LEFT)
    pixels = np.asarray(page)
    ends = (pixels[:, LEFT + 14 + LENGTH] == drawn._FAINT).all(-1)
    tops = np.flatnonzero(np.diff(ends.astype(int), prepend=0) == 1)
    thick = [int(np.argmin(ends[top:])) for top in tops]
    assert set(thick) == {9}
    middle = pixels[tops + 4, LEFT + 14 : LEFT + 15 + LENGTH]
    lengths = (middle != drawn._FAINT).any(-1).sum(1) - 1
    below = pixels[tops[-1] + 9 :].min() < 200  # a line that says more
    return tops, lengths, [tuple(m[0]) for m in middle], below


@pytest.mark.parametrize('count', [3, 7, 15])
def test_a_bar_for_each_class_in_their_order(count):
    scores = np.random.default_rng(count).dirichlet(np.ones(count))
    tops, lengths, colors, more = bars(scores)
    assert len(tops) == count and not more
    np.testing.assert_allclose(lengths, scores * LENGTH, atol=1)
    assert colors == [drawn._rgb(k) for k in range(count)]


@pytest.mark.parametrize('count', [16, 30, 400])
def test_of_many_classes_the_highest(count):
    scores = np.random.default_rng(count).dirichlet(np.ones(count))
    tops, lengths, _, more = bars(scores)
    assert len(tops) == 14 and more and np.diff(tops).min() >= 22
    expected = np.sort(scores)[::-1][:14] * LENGTH
    np.testing.assert_allclose(lengths, expected, atol=1)


def test_the_class_of_the_frame_is_among_them():
    scores = np.full(30, 0.01)
    scores[25] = 0.71
    _, lengths, colors, _ = bars(scores, np.arange(14))
    assert lengths[-1] == pytest.approx(0.71 * LENGTH, abs=1)
    assert colors[-1] == drawn._rgb(25)
    assert colors[:-1] == [drawn._rgb(k) for k in range(13)]


@pytest.mark.parametrize('count', [3, 30])
def test_frames_without_a_face_have_empty_bars(count):
    tops, lengths, _, more = bars(np.full(count, np.nan), np.arange(3))
    assert len(tops) == 3 and more == (count > 3)
    assert (lengths == -1).all()


def predict(count=7, track=None):
    rng = np.random.default_rng(0)
    bags = [
        BagPrediction(k, k + 1, rng.dirichlet(np.ones(count)))
        for k in range(2)
    ]
    classes = tuple(f'name {k}' for k in range(count))
    return ClipPrediction(
        'clip', 'clip', classes, bags=bags, seconds=2.0, track=track
    )


def test_boxes_of_all_frames_at_once(monkeypatch):
    frames = np.array([2, 3, 8, 9])
    boxes = np.array([[k, 2, k + 9, 12] for k in frames], float)
    looked = np.array([2, 3, 5, 8, 9])  # in 5 in vain
    prediction = predict(track=FaceTrack(frames, boxes, np.ones(4), looked))
    found = drawn._boxes(prediction, 12)
    for index, box in enumerate(found):
        expected = prediction.box_at(index)
        if expected is None:
            assert np.isnan(box).all()
        else:
            assert box.tolist() == expected.tolist()
    assert (~np.isnan(found[:, 0])).sum() == 4
    assert np.isnan(drawn._boxes(predict(), 5)).all()


@pytest.mark.parametrize('count', [3, 30])
def test_pages(count, monkeypatch):
    calls = []
    stock = FaceTrack.boxes_at
    monkeypatch.setattr(
        FaceTrack,
        'boxes_at',
        lambda self, frames: calls.append(1) or stock(self, frames),
    )
    track = FaceTrack(
        np.arange(5), np.tile([5.0, 20, 25, 40], (5, 1)), np.ones(5)
    )
    prediction = predict(count, track)
    clip = ArrayClip(np.full((20, 60, 40, 3), 200, np.uint8), 'clip', fps=10)
    pages = [*drawn._pages([prediction], clip)]
    assert len(pages) == 20 and len(calls) == 1
    label = int(drawn.scores_over_time(prediction, clip.seconds)[0].argmax())
    factor = 360 / 60
    spot = [int(40 * factor), int(10 * factor)]  # on the lower side of the box
    assert tuple(pages[0][spot[0], spot[1]]) == drawn._rgb(label)
    assert tuple(pages[10][spot[0], spot[1]]) == (200, 200, 200)
