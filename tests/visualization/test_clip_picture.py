"""Scores and timelines of few and many classes."""

import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from micacl_mm.apis.clips import open_clip
from micacl_mm.apis.predictions import BagPrediction, ClipPrediction
from micacl_mm.visualization.clip_picture import (
    draw_timeline,
    plot_prediction,
)
from micacl_mm.visualization.plots import mark_of

from .helpers import check_png


def names(count):
    return tuple(f'name {k}' for k in range(count))


def draw(count):
    return np.random.default_rng(count).dirichlet(np.ones(count))


@pytest.mark.parametrize('count', [7, 12, 30])
def test_lines_can_be_told_apart(count):
    bags = [
        BagPrediction(k, k + 2, 1, draw(count)[:: 2 * k - 1]) for k in (0, 1)
    ]
    bags.append(BagPrediction(2, 4))  # no face
    prediction = ClipPrediction(
        'clip', 'clip', names(count), bags=bags, seconds=4.0
    )
    axes = Figure().add_subplot()
    draw_timeline(axes, prediction, bags[0])
    lines = [line for line in axes.lines if len(line.get_xdata())]
    assert len(lines) == min(count, 12)
    looks = {(line.get_color(), line.get_marker()) for line in lines}
    labels = {line.get_label(): line for line in lines}
    assert len(labels) == len(lines)
    if count <= 12:
        assert len(looks) == len(lines)
    for label, line in labels.items():
        k = int(label.split()[1])
        mark = dict(color=line.get_color(), marker=line.get_marker())
        assert mark == mark_of(k)
        expected = [100 * bag.scores[k] for bag in bags[:2]]
        np.testing.assert_allclose(line.get_ydata(), [*expected, np.nan])
    assert prediction.label in labels


@pytest.mark.parametrize('count', [30])
def test_the_page_has_room_for_all_of_it(count, tmp_path):
    bags = [
        BagPrediction(k, k + 1, 1, draw(count), np.arange(4), instances=2)
        for k in range(2)
    ]
    prediction = ClipPrediction(
        'clip', 'clip', names(count), bags=bags, seconds=2.0
    )
    images = np.random.default_rng(0).integers(0, 255, (20, 60, 40, 3))
    clip = open_clip(images.astype(np.uint8), fps=10)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of a layout that has no room
        path = plot_prediction(prediction, clip, tmp_path / 'a.png')
    check_png(path)
