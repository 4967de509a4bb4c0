"""Crops to the fraction of a pixel, and the transform that makes them."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose

from micacl_mm import CropFaces
from micacl_mm.faces import FaceTrack, NoFaceError, crop_face, square_boxes
from micacl_mm.registry import TRANSFORMS
from tests.sets import noise

from .portrait import DotDetector, dots, grey, write_images, write_video


def ramp(height=60, width=80):
    """An image whose grey is a linear function of the place."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.float32(x + 2 * y)


def test_squares_by_hand():
    boxes = [[0, 0, 10, 20], [5, 5, 25, 15]]
    assert square_boxes(boxes, 0.0).tolist() == [
        [-5, 0, 15, 20],
        [5, 0, 25, 20],
    ]
    assert square_boxes(boxes[0], 0.25).tolist() == [-10, -5, 20, 25]
    assert square_boxes(boxes[0], -0.25).tolist() == [0, 5, 10, 15]
    image = noise(size=50)[:40]
    crop = crop_face(image, [10, 10, 20, 30])
    np.testing.assert_array_equal(crop, image[10:30, 5:25])
    with pytest.raises(ValueError, match='margin must be above -0.5'):
        square_boxes([[0, 0, 1, 1]], -0.5)
    with pytest.raises(ValueError, match='size must be 1 or more'):
        crop_face(noise(), [0, 0, 5, 5], 0)


@pytest.mark.parametrize('factor', [2, 3, 5])
def test_shrinking_is_the_mean_of_the_pixels(factor):
    image = noise(size=30)
    crop = crop_face(image, [0, 0, 30, 30], 30 // factor)
    blocks = image.reshape(30 // factor, factor, 30 // factor, factor, 3)
    mean = blocks.astype(float).mean((1, 3))
    assert np.abs(crop - mean).max() <= 0.51


@pytest.mark.parametrize('size', [7, 64])
@pytest.mark.parametrize('square', [[5.3, 8.7, 25.3, 28.7], [10, 4, 60, 54]])
def test_places_are_kept_to_the_fraction_of_a_pixel(square, size):
    crop = crop_face(ramp(), square, size)
    step = (square[2] - square[0]) / size
    centres = (np.arange(size) + 0.5) * step
    expected = (square[0] + centres) + 2 * (square[1] + centres)[:, None]
    # OpenCV interpolates at 1/32 of a pixel.
    np.testing.assert_allclose(crop, expected, atol=0.11)


def test_whole_pixels_are_copied_and_beyond_the_image_its_border():
    image = noise(size=50)[:40]
    padded = cv2.copyMakeBorder(image, 9, 9, 9, 9, cv2.BORDER_REPLICATE)
    for x, y in [(7, 3), (-9, -9), (35, -4), (-3, 25), (30, 20)]:
        crop = crop_face(image, [x, y, x + 24, y + 24])
        expected = padded[y + 9 : y + 33, x + 9 : x + 33]
        np.testing.assert_array_equal(crop, expected)
    grey_crop = crop_face(image[..., 0], [x, y, x + 24, y + 24])
    np.testing.assert_array_equal(grey_crop, crop[..., 0])


@pytest.mark.parametrize(
    'box',
    [[5, 5, 5, 5], [9, 9, 5, 5], [np.nan, 0, 5, 5], [50, 0, 60, 10]],
)
def test_boxes_that_show_nothing(box):
    with pytest.raises(ValueError, match='the box must be finite'):
        crop_face(noise(size=50)[:40], box)


# ---- the transform


def clip(boxes, inds=None, **extra):
    """A decoded clip of white boxes, None for a frame without."""
    inds = np.arange(len(boxes)) if inds is None else np.array(inds)
    images = [dots([] if b is None else b) for b in boxes]
    shape = images[0].shape[:2]
    return dict(
        imgs=images,
        frame_inds=inds,
        img_shape=shape,
        original_shape=shape,
        video_id='00042',
        **extra,
    )


def crop(**kwargs):
    return CropFaces(detector=DotDetector(), **kwargs)


BOX = [30, 20, 50, 40]


def test_crops_by_hand():
    data = clip([BOX] * 3)
    results = crop(margin=0.25, size=None)(data.copy())
    assert results['img_shape'] == (30, 30)
    assert results['original_shape'] == (64, 96)
    assert results['face_boxes'].tolist() == [[25, 15, 55, 45]] * 3
    assert results['face_boxes'].dtype == np.float32
    assert results['frames_without_face'] == []
    for image in results['imgs']:
        np.testing.assert_array_equal(image, dots(BOX)[15:45, 25:55])
    np.testing.assert_array_equal(data['imgs'][0], dots(BOX))  # unchanged


def test_repeated_and_disordered_frames_are_looked_at_once_in_time():
    seen = []

    class Noting(DotDetector):
        def __call__(self, frame):
            found = super().__call__(frame)
            seen.append(found[0, 0])
            return found

    inds = [4, 2, 4, 0, 2, 6]
    boxes = [[5 * i, 20, 5 * i + 20, 40] for i in inds]
    results = CropFaces(detector=Noting(), margin=0)(clip(boxes, inds))
    assert seen == [0, 10, 20, 30]
    np.testing.assert_allclose(results['face_boxes'], boxes, atol=1e-4)


@pytest.mark.parametrize('absent', [(3,), (3, 4), (0,), (9,)])
def test_short_gaps_are_filled(absent):
    boxes = [[3 * t, 20, 3 * t + 20, 40] for t in range(10)]
    planted = [None if t in absent else b for t, b in enumerate(boxes)]
    results = crop(margin=0, max_gap=2, smoothing=0)(clip(planted))
    assert results['frames_without_face'] == []
    inner = [t for t in range(10) if t not in (0, 9)]
    np.testing.assert_allclose(
        results['face_boxes'][inner], np.array(boxes)[inner], atol=1e-4
    )


def test_longer_gaps_take_the_nearest_box_and_are_reported():
    boxes = [[3 * t, 20, 3 * t + 20, 40] for t in range(10)]
    boxes[3:7] = [None] * 4
    data = clip(boxes, inds=range(10, 110, 10))
    results = crop(margin=0, max_gap=3, smoothing=0)(data)
    assert results['frames_without_face'] == [40, 50, 60, 70]
    lefts = results['face_boxes'][:, 0].tolist()
    assert lefts == [0, 3, 6, 6, 6, 21, 21, 21, 24, 27]


def test_a_clip_without_any_face():
    with pytest.raises(NoFaceError, match='00042: no face found'):
        crop()(clip([None] * 4))
    data = clip([None])
    del data['video_id']
    with pytest.raises(NoFaceError, match='my/0001: no face found'):
        crop()({**data, 'frame_dir': 'my/0001'})


def test_a_given_track_is_believed():
    looked = np.arange(0, 101, 10)
    boxes = [[t / 10, 5, t / 10 + 20, 25] for t in looked]
    track = FaceTrack(looked, boxes, np.ones(11))
    data = clip([None] * 3, inds=[25, 50, 99], face_track=track)
    results = CropFaces(detector=None, margin=0)(data)
    np.testing.assert_allclose(results['face_boxes'][:, 0], [2.5, 5, 9.9])
    assert results['frames_without_face'] == []
    assert results['face_track'] is track
    late = clip([None] * 2, inds=[90, 120], face_track=track)
    assert crop()(late)['frames_without_face'] == [120]


@pytest.mark.parametrize(
    'extra', [dict(keypoint=[]), dict(gt_bboxes=[]), dict(lazy={})]
)
def test_what_cannot_be_cropped_along(extra):
    with pytest.raises(ValueError, match=next(iter(extra))):
        crop()(clip([BOX], **extra))


def test_wrong_inputs():
    with pytest.raises(ValueError, match='2 images and 1 frame_inds'):
        crop()({**clip([BOX] * 2), 'frame_inds': np.arange(1)})
    with pytest.raises(ValueError, match='00042 has no face_track'):
        CropFaces(detector=None)(clip([BOX]))
    floats = dict(imgs=[grey(64, 64) / 255.0], frame_inds=np.arange(1))
    with pytest.raises(TypeError, match='uint8, got float64'):
        CropFaces(detector='haar')(floats)


@pytest.mark.parametrize(
    'wrong', [dict(size=0), dict(size=2.5), dict(detector='nobody')]
)
def test_bad_arguments(wrong):
    with pytest.raises(ValueError):
        CropFaces(**{'detector': DotDetector(), **wrong})
    for wrong in (dict(margin=-0.5), dict(max_gap=-1), dict(smoothing=-1)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            crop(**wrong)(clip([BOX]))


@pytest.mark.parametrize('source', ['video', 'frames'])
def test_in_a_stock_pipeline(tmp_path, source):
    """By names alone, between stock transforms."""
    frames = [dots([2 * t, 20, 2 * t + 20, 40]) for t in range(20)]
    data = dict(start_index=0, modality='RGB', label=2)
    if source == 'video':
        path = write_video(tmp_path / 'clip.mp4', frames)
        data['filename'] = str(path)
        decode = [dict(type='DecordInit'), dict(type='DecordDecode')]
    else:
        folder = write_images(tmp_path / 'clip', frames)
        data.update(frame_dir=str(folder), filename_tmpl='{:05d}.png')
        data.update(total_frames=20, start_index=1)
        decode = [None, dict(type='RawFrameDecode')]
    config = [
        decode[0],
        dict(type='SampleInstances', test_mode=True),
        decode[1],
        dict(type='CropFaces', detector=DotDetector(), size=40, margin=0.5),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    pipeline = Compose([TRANSFORMS.build(t) for t in config if t])
    bag = pipeline(data)['inputs']
    assert bag.shape == (4, 3, 4, 32, 32)
    face, around = bag[..., 11:21, 11:21], bag[..., :5]
    assert face.float().mean() > 240 and around.float().mean() < 135


def test_a_printed_step_says_what_it_does():
    step = CropFaces(detector='haar', size=112)
    assert "detector='haar'" in repr(step) and 'size=112' in repr(step)
    assert 'max_side=640' in repr(step.detector)
