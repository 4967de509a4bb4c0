"""The drawn video on which inference is shown."""

import cv2
import numpy as np
import pytest

from micacl_mm.cli.make_video import main
from micacl_mm.synthetic.story import render_story

SMALL = dict(size=96, frames_each=10)


def test_each_expression_has_its_part():
    frames = np.stack(list(render_story(['Happy', 'Neutral'], **SMALL)))
    assert frames.shape == (20, 96, 96, 3) and frames.dtype == np.uint8
    others = np.stack(list(render_story(['Happy', 'Surprise'], **SMALL)))
    assert np.array_equal(frames[:10], others[:10])
    assert not np.array_equal(frames[10:], others[10:])


def test_a_seed_is_a_video():
    first, same, other = (
        np.stack(list(render_story(['Fear'], seed=seed, **SMALL)))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize('emotions', [[], ['Bored']])
def test_emotions_that_cannot_be_drawn(emotions):
    with pytest.raises(ValueError, match='emotions must be some of'):
        next(render_story(emotions))


def test_the_tool_writes_a_video(tmp_path, capsys):
    path = tmp_path / 'new/story.mp4'
    assert main([str(path), '--emotions', 'Sad', '--size', '96']) == 0
    assert str(path) in capsys.readouterr().out
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    assert capture.get(cv2.CAP_PROP_FPS) == 25
