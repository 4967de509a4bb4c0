"""Videos of which little is decoded, against all of it decoded in order."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from micacl_mm.datasets import FastVideoInit
from micacl_mm.registry import TRANSFORMS
from micacl_mm.utils import video as reading
from micacl_mm.utils.video import SkippingVideo
from tests.sets import picture

av = pytest.importorskip('av')
decord = pytest.importorskip('decord')

X264 = dict(codec='libx264')
VIDEOS = {
    'drawn sets': dict(codec='mpeg4'),
    'B-frames': dict(X264, options={'bf': '3'}),
    'key frames': dict(X264, options={'g': '6', 'bf': '2'}),
    'open groups': dict(
        X264, options={'x264-params': 'open-gop=1:keyint=8:bframes=3'}
    ),
    'mpeg4 with B-frames': dict(codec='mpeg4', options={'bf': '2'}),
    'full range': dict(X264, form='yuvj420p'),
    'no chroma lost': dict(X264, form='yuv444p'),
    'BT.2020': dict(X264, colours=9, length=4),
    'a frame': dict(X264, length=1),
    'mkv': dict(X264, container='matroska'),
}
#: decord jumps into the midst of an open group and returns broken frames.
OPEN = ('open groups', 'mpeg4 with B-frames')


def make(
    codec='libx264',
    form='yuv420p',
    length=30,
    container='mp4',
    options=None,
    colours=None,
):
    file = io.BytesIO()
    with av.open(file, 'w', format=container) as video:
        stream = video.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        if colours is not None:
            stream.codec_context.colorspace = colours
        image = picture(64, 96)
        for number in range(length):
            view = np.roll(image, 3 * number, axis=1)[:48, :64]
            view = np.ascontiguousarray(view)
            frame = av.VideoFrame.from_ndarray(view, format='rgb24')
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return file.getvalue()


def in_order(data):
    """Every frame, by decord from the first one on: it never jumps."""
    reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
    return reader.get_batch(range(len(reader))).asnumpy()


@pytest.mark.parametrize('name', VIDEOS)
def test_frames_are_those_of_the_file_in_order(name):
    """Backwards too, and after a batch that left frames in the decoder."""
    data = make(**VIDEOS[name])
    expected = in_order(data)
    rng, last = np.random.default_rng(0), len(expected) - 1
    batches = [np.sort(rng.integers(0, last + 1, 16)) for _ in range(3)]
    batches += [[last // 2], [0, last // 3], [last], [last // 4, last], [0]]
    again = SkippingVideo('a.mp4', data, 2)
    for inds in batches:  # with some frames twice
        for video in (SkippingVideo('a.mp4', data), again):
            found = video.get_batch(inds).asnumpy()
            assert np.array_equal(found, expected[inds])
            assert len(video) == last + 1
    assert video.get_avg_fps() == pytest.approx(25)


def run(path, steps, inds, **kwargs):
    results = dict(filename=str(path))
    results = TRANSFORMS.build(dict(type=steps[0]))(results)
    results['frame_inds'] = np.array(inds)
    return TRANSFORMS.build(dict(type=steps[1], **kwargs))(results)


@pytest.mark.parametrize('name', sorted(VIDEOS.keys() - set(OPEN)))
def test_the_pipeline_is_the_stock_one(tmp_path, name):
    path = tmp_path / 'a.mp4'
    path.write_bytes(make(**VIDEOS[name]))
    last = VIDEOS[name].get('length', 30) - 1
    inds = [min(place, last) for place in (2, 3, 3, 17, 29)]
    ours = run(path, ('FastVideoInit', 'DecordDecode'), inds)
    stock = run(path, ('DecordInit', 'DecordDecode'), inds)
    assert np.array_equal(ours['imgs'], stock['imgs'])
    assert ours.keys() == stock.keys()
    for key in ('total_frames', 'avg_fps', 'img_shape', 'original_shape'):
        assert ours[key] == pytest.approx(stock[key])


def test_what_may_differ_is_left_to_decord(tmp_path):
    path = tmp_path / 'a.mp4'
    path.write_bytes(make(form='yuv420p10le', length=5))
    ours = run(path, ('FastVideoInit', 'DecordDecode'), [1, 4])
    stock = run(path, ('DecordInit', 'DecordDecode'), [1, 4])
    assert np.array_equal(ours['imgs'], stock['imgs'])
    with pytest.raises(reading.UnusualVideoError):
        SkippingVideo(str(path), path.read_bytes())


class Counting:
    """A decoder that counts the frames that leave it."""

    def __init__(self, codec):
        vars(self).update(codec=codec, shown=0)

    def decode(self, packet):
        frames = self.codec.decode(packet)
        vars(self)['shown'] += len(frames)
        return frames

    def __getattr__(self, name):
        return getattr(self.codec, name)

    def __setattr__(self, name, value):
        setattr(self.codec, name, value)


@pytest.mark.parametrize('inds, most', [([29], 20), (range(30), 30), ([0], 1)])
def test_less_is_decoded(inds, most):
    """What is neither wanted nor needed for others is passed over."""
    video = SkippingVideo('a.mp4', make(**VIDEOS['B-frames']))
    counting = Counting(video._stream.codec_context)
    video._stream = SimpleNamespace(codec_context=counting)
    video.get_batch(inds)
    assert 1 <= counting.shown <= most


def test_without_pyav_it_is_decord(tmp_path, monkeypatch):
    path = tmp_path / 'a.mp4'
    path.write_bytes(make(length=4))
    monkeypatch.setattr(reading, 'av', None)
    results = FastVideoInit()(dict(filename=str(path)))
    assert isinstance(results['video_reader'], decord.VideoReader)
