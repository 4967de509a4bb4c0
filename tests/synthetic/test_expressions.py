"""Action units, their course in time, and what they do to the picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from micacl_mm.synthetic import (
    ACTION_UNITS,
    EMOTIONS,
    LEVELS,
    RECIPES,
    ClipSpec,
    clip_units,
    render_clip,
)
from micacl_mm.synthetic.action_units import (
    activation_curve,
    draw_units,
)
from micacl_mm.synthetic.clip import clip_layout, clip_scene
from micacl_mm.synthetic.geometry import (
    face_points,
    head_outline,
    project,
)
from micacl_mm.synthetic.scene import draw_identity

MEDIUM = LEVELS['medium']
# Nothing moves or hides the face, so that frames can be compared.
STILL = replace(
    LEVELS['easy'],
    crosstalk=0.0,
    pose=0.0,
    shift=0.0,
    light=0.0,
    occlusion=0.0,
    blur=0.0,
    noise=0.0,
    speech=0.0,
)


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


@pytest.mark.parametrize('num_frames', [8, 11, 15, 30, 64])
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


def test_most_of_a_clip_says_nothing():
    shares = []
    for seed in range(200):
        curve = activation_curve(32, np.random.default_rng(seed), MEDIUM)
        shares.append((curve == 0).mean())
    assert 0.4 < np.mean(shares) < 0.7


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
    def rng():
        return np.random.default_rng(0)

    blend = draw_units(('Happy', 'Sad'), rng(), STILL)
    happy = draw_units(('Happy',), rng(), STILL)
    index = list(ACTION_UNITS).index(12)
    assert 0.3 < blend[index] < happy[index]


def test_units_move_their_points():
    who = draw_identity(np.random.default_rng(0))
    zero = dict.fromkeys(ACTION_UNITS, 0.0)
    rest = face_points(who, zero, 0.0)

    def moved(unit, name, index):
        points = face_points(who, zero | {unit: 1.0}, 0.0)
        return points[name][index] - rest[name][index]

    assert moved(1, 'brow_r', 0)[1] < -0.08  # y points down
    assert moved(2, 'brow_r', 8)[1] < -0.08
    assert moved(4, 'brow_r', 0)[1] > 0.08
    assert moved(4, 'brow_r', 0)[0] < -0.02
    assert moved(5, 'lid_r', 8)[1] < -0.04
    assert moved(7, 'lid_r', 8)[1] > 0.02
    assert moved(12, 'lips', 16)[1] < -0.08
    assert moved(12, 'lips', 16)[0] > 0.04
    assert moved(15, 'lips', 16)[1] > 0.08
    assert moved(20, 'lips', 16)[0] > 0.06
    assert moved(23, 'lips', 16)[0] < -0.03
    assert moved(10, 'gap', 8)[1] < -0.02
    assert moved(26, 'gap', 25)[1] > 0.15
    assert moved(9, 'wing_r', 0)[1] < -0.03
    closed = face_points(who, zero, 1.0)
    assert closed['lid_r'][8, 1] > rest['lid_r'][8, 1] + 0.05


def test_projection_turns_the_face():
    nose = np.array([[0.0, 0.15]])
    frontal = project(nose, np.array([0, 0, 0, 0, 0, 1.0]))
    turned = project(nose, np.array([0.3, 0, 0, 0, 0, 1.0]))
    np.testing.assert_allclose(frontal, nose, atol=1e-12)
    assert turned[0, 0] > 0.1
    rolled = project(nose, np.array([0, 0, np.pi / 2, 0, 0, 2.0]), 0.0)
    np.testing.assert_allclose(rolled, [[-0.3, 0]], atol=1e-12)


def _apex_and_rest(emotion, size=64):
    spec = ClipSpec(1, (emotion,), 2, 0)
    frames = np.stack(render_clip(spec, 0, 'dfew', size, STILL))
    level = clip_units(spec, 0, 'dfew', STILL).sum(1)
    return frames[level.argmax()].astype(int), frames[level == 0][0]


def test_apex_differs_from_rest_where_the_units_are():
    def change(emotion):
        apex, rest = _apex_and_rest(emotion)
        return np.abs(apex - rest).mean(-1)

    happy, angry = change('Happy'), change('Angry')
    mouth, brows = (
        (slice(40, 52), slice(20, 44)),
        (slice(14, 26), slice(20, 44)),
    )
    assert happy[mouth].mean() > 4
    assert angry[brows].mean() > 4
    assert happy[:8].mean() < 1 and angry[:8].mean() < 1
    assert happy[mouth].mean() > 1.2 * angry[mouth].mean()


def test_apexes_of_all_classes_differ():
    faces = [_apex_and_rest(emotion)[0] for emotion in EMOTIONS]
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
    frames = [render_clip(clip, 0, 'dfew', 32, knobs) for clip in clips]
    for index in rest:
        for other in frames[1:]:
            np.testing.assert_array_equal(frames[0][index], other[index])


def _head_region(spec, size, knobs):
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


def test_emotion_leaks_into_nothing_around_the_head():
    size, outside = 48, 0
    for number in range(1, 4):
        clips = [ClipSpec(number, (name,), number, 0) for name in EMOTIONS]
        first, *others = [
            np.stack(render_clip(clip, 0, 'dfew', size, MEDIUM))
            for clip in clips
        ]
        around = ~_head_region(clips[0], size, MEDIUM)
        outside += around.mean() / 3
        for other in others:
            # Backdrop, light, blur and noise are the same to the bit.
            np.testing.assert_array_equal(first[around], other[around])
            assert not np.array_equal(first, other)
    assert outside > 0.1
