"""Predictions on faces that are found first."""

import csv
import json

import numpy as np
import pytest
from mmengine.config import Config

from micacl_mm.apis import DFERInferencer
from micacl_mm.apis.predictions import (
    BagPrediction,
    ClipPrediction,
    write_results,
)
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
        place = clip[index, 20 : 20 + SIDE, left : left + SIDE]
        place[:] = texture[:, : place.shape[1]]
        if faces == 2:
            clip[index, 90:110, 150 - index : 160] = 255
    return clip


@TASK_UTILS.register_module()
class TwoRegions:
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
    kwargs = dict(face='TwoRegions', device='cpu') | kwargs
    return DFERInferencer(place / 'config.py', place / 'model.pth', **kwargs)


def test_the_model_sees_the_face(place, infer):
    clip = scene()
    (found,) = infer.predict(clip)
    assert found.face == 0 and found.frames_without_face == []
    boxes, _ = found.track.boxes_at(range(40))
    truth = np.arange(40)[:, None] * [1, 0, 1, 0] + [10, 20, 50, 60]
    np.testing.assert_allclose(boxes, truth, atol=1e-6)
    # From its boxes: OpenCV rounds places to 1/32 of a pixel, so that the
    # last bit of a box may be seen in a crop of noise.
    pairs = zip(clip, square_boxes(boxes), strict=True)
    crops = np.stack([crop_face(image, box, 224) for image, box in pairs])
    plain = build(place, face='none')
    (expected,), (whole,) = plain.predict(crops), plain.predict(clip)
    assert np.array_equal(found.scores, expected.scores)
    assert not np.allclose(found.scores, whole.scores, atol=1e-2)
    (wide,) = build(place, margin=0.6).predict(clip)
    assert not np.allclose(wide.scores, found.scores, atol=1e-3)


def test_frames_without_a_face_are_left_out_and_told(infer):
    hidden = range(5, 31)
    (found,) = infer.predict(scene(hidden=hidden))
    missing = set(found.frames_without_face)
    # Every fourth frame is looked at.
    assert set(hidden) <= missing <= {4, *hidden, 31}
    assert not missing & set(found.bags[0].frames.tolist())
    assert found.bags[0].seen == pytest.approx(1 - len(missing) / 40)
    assert found.box_at(15) is None
    assert found.to_dict()['frames_without_face'] == sorted(missing)


@pytest.mark.parametrize('hidden', [(35, 76), (35, 72)])
def test_a_window_in_which_the_face_is_rarely_seen_does_not_count(
    infer, hidden
):
    clip = scene(frames=100, hidden=range(*hidden), speed=0)
    (found,) = infer.predict(clip, window=1.0, stride=1.0)
    scores = [bag.scores for bag in found.bags]
    assert [s is None for s in scores] == [False, False, True, False]
    known = [scores[i] for i in (0, 1, 3)]
    assert np.allclose(found.scores, np.mean(known, axis=0))
    line = found.to_dict()['timeline'][2]
    assert line['label'] is None and line['scores'] is None
    assert line['seen'] < 0.25 and line['box'] is None


def test_a_face_that_the_border_cuts_is_said(infer):
    # The square reaches the border at 160 in frame 110.
    (found,) = infer.predict(scene(frames=140), window=1, stride=1)
    shares = [bag.to_dict(found.classes)['cut'] for bag in found.bags]
    assert shares[:4] == [0] * 4 and shares[-1] == 1


def test_a_face_that_was_away_for_long_is_the_same(infer):
    clip = scene(frames=300, hidden=range(60, 240), speed=0)
    (found,) = infer.predict(clip)
    assert len([f for f in found.frames_without_face if f < 60]) < 4
    assert len([f for f in found.frames_without_face if f >= 240]) < 4


def test_every_face_on_request_and_where_it_is(place, infer, tmp_path):
    clip = scene(faces=2)
    (main,) = infer.predict(clip)
    found = list(build(place, faces='all').predict(clip))
    first, second = found
    assert (first.face, second.face) == (0, 1)
    assert first.number == second.number == 0
    assert np.allclose(first.scores, main.scores, atol=1e-6)
    assert not np.allclose(first.scores, second.scores, atol=1e-3)
    write_results(tmp_path, found, first.classes, {})
    whole = json.loads((tmp_path / 'predictions.json').read_text())
    for name in ('predictions', 'timeline'):
        with open(tmp_path / f'{name}.csv', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        for k, row in enumerate(rows):
            part = whole['predictions'][k]
            part = part['timeline'][0] if name == 'timeline' else part
            frame = int(row['box_frame'])
            box = [float(row[n]) for n in ('x1', 'y1', 'x2', 'y2')]
            assert row['face'] == str(k)
            assert (part['box_frame'], part['box']) == (frame, box)
            known = [10 + frame, 20, 50 + frame, 60]
            known = [150 - frame, 90, 160, 110] if k else known
            assert np.allclose(box, known, atol=1.5)


def test_classes_may_be_called_like_columns(tmp_path):
    classes = ('face', 'label', 'error')
    bag = BagPrediction(0.0, 1.0, scores=np.array([0.5, 0.25, 0.25]))
    found = ClipPrediction('a.mp4', 'a', classes, bags=[bag])
    write_results(tmp_path, [found], classes, {})
    for name in ('predictions', 'timeline'):
        with open(tmp_path / f'{name}.csv', encoding='utf-8') as file:
            head, row = csv.reader(file)
        at = head.index('label')
        assert row[:2] == ['a.mp4', ''] and len(head) == len(row)
        assert row[at : at + 4] == ['face', '0.5', '0.25', '0.25']


def test_a_clip_without_a_face_fails_alone(infer):
    empty = np.zeros((20, 60, 60, 3), np.uint8)
    lost, found = infer.predict([empty, scene()])
    assert 'no face found' in lost.error and 'array 0' in lost.error
    assert found.error is None


def test_a_pipeline_that_crops_is_told_where_the_face_is(place, infer):
    """It is cropped once, as by the inferencer."""
    cfg = Config.fromfile(place / 'config.py')
    steps = cfg.test_dataloader.dataset.pipeline
    at = [step['type'] for step in steps].index('RawFrameDecode') + 1
    steps.insert(at, dict(type='CropFaces', detector=None))
    cropping = DFERInferencer(
        cfg, place / 'model.pth', 'cpu', face='TwoRegions'
    )
    (found,), (expected,) = cropping.predict(scene()), infer.predict(scene())
    assert np.array_equal(found.scores, expected.scores)
