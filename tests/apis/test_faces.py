"""Predictions on faces that are found first."""

import numpy as np
import pytest
from mmengine.config import Config

from micacl_mm.apis import DFERInferencer
from micacl_mm.faces import crop_face, square_boxes
from micacl_mm.registry import TASK_UTILS

SIDE = 40


def scene(frames=40, hidden=(), faces=1, speed=1):
    """Bright squares on black that move right; the second one is small."""
    rng = np.random.default_rng(0)
    clip = np.zeros((frames, 120, 160, 3), np.uint8)
    for index in range(frames):
        if index in hidden:
            continue
        left = 10 + speed * index
        texture = rng.integers(100, 256, (SIDE, SIDE, 3))
        clip[index, 20 : 20 + SIDE, left : left + SIDE] = texture
        if faces == 2:
            clip[index, 90:110, 150 - index : 160] = 255
    return clip


@TASK_UTILS.register_module()
class BrightDetector:
    """Each bright region is a face, those at the top and at the bottom."""

    def __call__(self, frame):
        found = []
        for first, last in ((0, 80), (80, 120)):
            ys, xs = np.nonzero(frame[first:last].min(-1) >= 100)
            if len(ys):
                box = [xs.min(), ys.min() + first]
                box += [xs.max() + 1, ys.max() + first + 1, 0.9]
                found.append(box)
        return np.array(found, np.float32).reshape(-1, 5)


@pytest.fixture(scope='module')
def infer(place):
    return build(place)


def build(place, **kwargs):
    kwargs = dict(face='BrightDetector', device='cpu') | kwargs
    return DFERInferencer(place / 'config.py', place / 'model.pth', **kwargs)


def test_the_model_sees_the_face(place, infer):
    clip = scene()
    (found,) = infer.predict(clip)
    crops = []
    for index, image in enumerate(clip):
        box = square_boxes(np.array([10 + index, 20, 50 + index, 60]))
        crops.append(crop_face(image, box, 224))
    (expected,) = build(place, face='none').predict(np.stack(crops))
    assert np.allclose(found.scores, expected.scores, atol=1e-3)
    (whole,) = build(place, face='none').predict(clip)
    assert not np.allclose(found.scores, whole.scores, atol=1e-2)
    assert found.face == 0 and found.frames_without_face == []
    box = found.box_at(17)
    assert np.allclose(box, [27, 20, 67, 60], atol=1)


def test_frames_without_a_face_are_left_out_and_told(infer):
    hidden = range(5, 31)
    (found,) = infer.predict(scene(hidden=hidden))
    missing = set(found.frames_without_face)
    # Every other frame is looked at.
    assert set(hidden) <= missing <= {4, *hidden, 31}
    assert not missing & set(found.bags[0].frames.tolist())
    assert found.box_at(15) is None
    assert found.to_dict()['frames_without_face'] == sorted(missing)


def test_a_window_without_a_face_has_no_scores(infer):
    clip = scene(frames=100, hidden=range(30, 76), speed=0)
    (found,) = infer.predict(clip, window=1.0, stride=1.0)
    scores = [bag.scores for bag in found.bags]
    assert [s is None for s in scores] == [False, False, True, False]
    assert np.allclose(
        found.scores, np.mean([scores[i] for i in (0, 1, 3)], 0)
    )
    line = found.to_dict()['timeline'][2]
    assert line['label'] is None and line['scores'] is None


def test_every_face_on_request(place, infer):
    clip = scene(faces=2)
    (main,) = infer.predict(clip)
    first, second = build(place, faces='all').predict(clip)
    assert (first.face, second.face) == (0, 1)
    assert first.number == second.number == 0
    assert np.allclose(first.scores, main.scores, atol=1e-6)
    assert first.box_at(20)[1] < 80 < second.box_at(20)[1]
    assert not np.allclose(first.scores, second.scores, atol=1e-3)


def test_a_clip_without_a_face_fails_alone(infer):
    empty = np.zeros((20, 60, 60, 3), np.uint8)
    lost, found = infer.predict([empty, scene()])
    assert 'no face found' in lost.error and 'array 0' in lost.error
    assert found.error is None


def test_a_face_for_one_frame_only(infer):
    (found,) = infer.predict(scene(frames=20, hidden=range(1, 20)))
    assert np.isfinite(found.scores).all()
    assert len(found.frames_without_face) >= 5


def test_a_pipeline_that_crops_is_told_where_the_face_is(
    place, infer, tmp_path
):
    """It is cropped once, as by the inferencer."""
    cfg = Config.fromfile(place / 'config.py')
    steps = cfg.test_dataloader.dataset.pipeline
    at = [step['type'] for step in steps].index('RawFrameDecode') + 1
    steps.insert(at, dict(type='CropFaces', detector=None))
    cropping = DFERInferencer(
        cfg, place / 'model.pth', 'cpu', face='BrightDetector'
    )
    (found,), (expected,) = cropping.predict(scene()), infer.predict(scene())
    assert np.array_equal(found.scores, expected.scores)


def test_the_margin_is_that_of_the_training(place, infer):
    (wide,) = build(place, margin=0.6).predict(scene())
    (found,) = infer.predict(scene())
    assert not np.allclose(wide.scores, found.scores, atol=1e-3)


def test_unknown_detectors(place):
    with pytest.raises(ValueError, match='NoSuchDetector'):
        build(place, face='NoSuchDetector')
