"""Decoding of frames against the stock transforms."""

import random
from copy import deepcopy

import mmcv
import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from micacl_mm.datasets import images
from micacl_mm.registry import TRANSFORMS
from tests.sets import compressed, picture, write_clip

TURNED = Image.Exif()
TURNED[0x112] = 6
FILES = {
    '4:2:0': dict(subsampling=2),
    '4:4:4': dict(subsampling=0, quality=60),
    'progressive': dict(progressive=True),
    'grey': dict(mode='L'),
    'cmyk': dict(mode='CMYK'),
    'turned': dict(exif=TURNED.tobytes()),
    'png': dict(form='png'),
    'grey png': dict(form='png', mode='L'),
    'png with alpha': dict(form='png', mode='RGBA'),
    'bmp': dict(form='bmp'),
    'webp': dict(form='webp'),
    'tiff': dict(form='tiff'),
}
AFTER = [
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=(48, 40), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
]


@pytest.fixture(params=['simplejpeg', 'opencv'])
def decoder(request, monkeypatch):
    if request.param == 'opencv':
        monkeypatch.setattr(images, 'simplejpeg', None)
    elif images.simplejpeg is None:
        pytest.skip('simplejpeg is not installed')


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp('faces') / '00001')


def run(steps, clip, inds, seed=0):
    steps = [TRANSFORMS.build(step) for step in steps]
    random.seed(seed)
    np.random.seed(seed)
    given = dict(frame_inds=np.array(inds), num_clips=1, clip_len=len(inds))
    return Compose(steps)({**deepcopy(clip), **given})


@pytest.mark.parametrize('size', [(77, 113), (1, 1)], ids=str)
@pytest.mark.parametrize('name', FILES)
def test_pixels_are_the_stock_decoders(decoder, name, size):
    data = compressed(picture(*size), **FILES[name])
    expected = mmcv.imfrombytes(data, channel_order='rgb')
    found = images.decode_image(data, name)
    assert np.array_equal(found, expected)
    assert found.dtype == np.uint8 and found.shape[2] == 3


def segment(marker, data):
    return b'\xff' + marker + (len(data) + 2).to_bytes(2, 'big') + data


@pytest.mark.parametrize(
    'before',
    [segment(b'\xed', b'\xff\xda' * 2500), b'a\0b'],
    ids=['false start', 'bytes too many'],
)
def test_turned_by_a_segment_far_behind(decoder, before):
    data = compressed(picture(40, 60), **FILES['turned'])
    at = data.index(b'\xff\xe1')
    far = data[:at] + before + data[at:]
    expected = mmcv.imfrombytes(far, channel_order='rgb')
    assert expected.shape == (60, 40, 3)
    assert np.array_equal(images.decode_image(far, 'a'), expected)


def test_harmless_bytes_too_many(decoder):
    data = compressed(picture())
    at = data.find(b'\xff\xda')
    for odd in (data[:at] + b'ab' + data[at:], data + bytes(99)):
        expected = mmcv.imfrombytes(odd, channel_order='rgb')
        assert np.array_equal(images.decode_image(odd, 'a'), expected)


@pytest.mark.parametrize('suffix, form', [('jpg', 'jpeg'), ('png', 'png')])
def test_the_pipeline_is_the_stock_one(decoder, tmp_path, suffix, form):
    """Bit for bit, with frames that windows repeat and Flip turns in place."""
    clip = write_clip(tmp_path / 'clip', suffix=suffix, form=form)
    inds = [0, 1, 2, 1, 2, 5]
    for seed in range(3):
        ours = run([dict(type='FaceFrameDecode'), *AFTER], clip, inds, seed)
        stock = run([dict(type='RawFrameDecode'), *AFTER], clip, inds, seed)
        assert np.array_equal(ours['imgs'], stock['imgs'])
        keys = ('img_shape', 'original_shape', 'crop_bbox', 'crop_quadruple')
        for key in keys:
            assert np.array_equal(ours[key], stock[key])
        # The next transform draws from the same numbers.
        assert ours['flip'] == stock['flip']


def test_each_frame_is_read_once(clip, monkeypatch):
    read = []

    def reading(path, *options):
        read.append(path)
        return images.read_file(path, *options)

    module = 'micacl_mm.datasets.transforms.read_file'
    monkeypatch.setattr(module, reading)
    found = run([dict(type='FaceFrameDecode')], clip, [3, 1, 3, 3, 1])
    assert [path[-7:] for path in read] == ['003.jpg', '001.jpg']
    first, _, again = found['imgs'][:3]
    assert np.array_equal(first, again)
    assert not np.shares_memory(first, again)


def cut(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    'broken', [cut, lambda _: b'', lambda _: b'\xff\xd8\xff\xe0text' * 9]
)
def test_broken_frames_are_named(decoder, tmp_path, broken):
    clip = write_clip(tmp_path / 'clip')
    path = tmp_path / 'clip' / '002.jpg'
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(ValueError, match='002.jpg cannot be decoded') as error:
        run([dict(type='FaceFrameDecode')], clip, [1, 2])
    assert str(path) in error.value.problem and error.value.cure


def test_a_frame_of_another_size_is_named(tmp_path):
    clip = write_clip(tmp_path / 'clip')
    odd = compressed(picture(90, 97))
    (tmp_path / 'clip' / '004.jpg').write_bytes(odd)
    with pytest.raises(ValueError, match='96 x 96 for 000.jpg and 97 x 90'):
        run([dict(type='FaceFrameDecode')], clip, [0, 4])


def test_other_modalities_are_stocks(clip):
    step = [dict(type='FaceFrameDecode')]
    with pytest.raises(NotImplementedError):
        run(step, dict(clip, modality='Depth'), [0])
