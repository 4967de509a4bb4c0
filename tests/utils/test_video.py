"""Videos are read upright and whole, and written whole or not at all."""

import resource
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from mmengine.dataset import Compose

from micacl_mm.hooks.bad_files import BadFileError, WatchedPipeline
from micacl_mm.registry import TRANSFORMS
from micacl_mm.utils import video
from micacl_mm.utils.video import (
    UprightVideo,
    is_cut_off,
    open_video,
    read_video,
    write_video,
)

from ..apis.videos import ffmpeg, picture, turned
from ..apis.videos import write_video as make_video
from ..sets import noise
from ..sets import write_video as write_frames_as_video

# Behind OpenCV, which else reads no PNG any more.
decord = pytest.importorskip('decord')

FASTSTART = ('-movflags', 'faststart')
SUFFIXES = [
    ('.mp4', FASTSTART),
    ('.mp4', ('-movflags', 'frag_keyframe+empty_moov', '-g', '10')),
    ('.mov', FASTSTART),
    ('.avi', ()),
    ('.mkv', ()),
    ('.webm', ('-c:v', 'libvpx', '-c:a', 'libopus')),
]


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp('plain') / 'plain.avi', 50)


def encode(path, source, *options):
    """A video by FFmpeg, with five seconds of sound."""
    pytest.importorskip('imageio_ffmpeg')
    sound = ('-f', 'lavfi', '-i', 'anoisesrc=duration=5')
    ffmpeg('-i', source, *sound, *options, path)
    return path


def train_on(path, numbers):
    """Frames as the recipes read them."""
    steps = [dict(type='FastVideoInit'), dict(type='DecordDecode')]
    steps = WatchedPipeline(Compose(list(map(TRANSFORMS.build, steps))))
    given = dict(filename=str(path), frame_inds=np.array(numbers))
    return steps(given)['imgs']


def count(path):
    return sum(1 for _ in read_video(str(path)))


@pytest.mark.parametrize(('suffix', 'options'), SUFFIXES)
def test_what_is_cut_off_is_refused(plain, tmp_path, suffix, options):
    path = encode(tmp_path / f'a{suffix}', plain, *options)
    assert not is_cut_off(path) and count(path) == 50
    data = path.read_bytes()
    for share in (0.3, 0.97):
        path.write_bytes(data[: int(share * len(data))])
        assert is_cut_off(path)
        for read in (count, lambda path: train_on(path, [0, 3])):
            with pytest.raises(ValueError, match='the file is cut off'):
                read(path)


@pytest.mark.parametrize('head', [b'', b'text', b'RIFF', b'\x1aE\xdf\xa3'])
@pytest.mark.parametrize('rest', [b'', b'\0' * 40, b'\xff' * 40])
def test_what_is_no_video_is_not_cut_off(tmp_path, head, rest):
    path = tmp_path / 'a.mp4'
    path.write_bytes(head + rest)
    expected = head == b'RIFF' and rest[:1] == b'\xff'  # 4 GB of it
    assert is_cut_off(path) == expected


@pytest.mark.parametrize('codec, size', [('libx264', 512), ('mpeg4', 4096)])
def test_lost_pages_are_noticed_while_training(tmp_path, codec, size):
    pytest.importorskip('av')
    noisy = [noise(number, 96) for number in range(20)]
    write_frames_as_video(tmp_path / 'noisy.mp4', noisy)
    source = tmp_path / 'noisy.mp4'
    path = encode(tmp_path / 'a.mp4', source, '-an', '-c:v', codec)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    first, last = data.index(b'mdat') + 60, data.index(b'moov') - size
    noticed = 0
    for at in rng.integers(first, last, 6).tolist():
        path.write_bytes(data[:at] + bytes(size) + data[at + size :])
        try:
            train_on(path, range(20))
        except BadFileError as error:
            noticed += f'{path} fails' in str(error)
    # Where the decoder says so: it patches up some of what is small.
    assert noticed >= (3 if size == 512 else 6)


def test_whole_videos_that_announce_more_frames_are_read(plain, tmp_path):
    # Sound that goes on for longer, by which mkv is measured.
    assert count(encode(tmp_path / 'sound.mkv', plain)) == 50
    # Frames of uneven length.
    few = ['-vf', "select='lt(n,9)+eq(n,49)'", '-fps_mode', 'vfr', '-an']
    assert count(encode(tmp_path / 'uneven.mkv', plain, *few)) == 10
    # Trimmed by a note in the file: what is in front stays, hidden.
    whole = encode(tmp_path / 'whole.mp4', plain, '-an', '-bf', '0')
    trimmed = tmp_path / 'trimmed.mp4'
    ffmpeg('-ss', '1', '-i', whole, '-c', 'copy', trimmed)
    assert 20 < count(trimmed) < 30


@pytest.mark.parametrize('degrees', [90, 180])
def test_a_video_filmed_lying_is_read_upright(plain, tmp_path, degrees):
    pytest.importorskip('imageio_ffmpeg')
    source = encode(tmp_path / 'plain.mp4', plain, '-an')
    path = turned(tmp_path / 'turned.mp4', source, degrees)
    upright = [np.rot90(picture(k), degrees // 90) for k in range(50)]
    for frame, expected in zip(read_video(str(path)), upright, strict=True):
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 4
    clip = open_video(str(path))
    assert len(clip) == 50 and clip.get_avg_fps() == pytest.approx(25)
    indices = [3, 40, 39, 3, 49]  # back and forth
    frames = clip.get_batch(indices).asnumpy()
    for frame, index in zip(frames, indices, strict=True):
        assert np.abs(frame.astype(int) - upright[index]).mean() < 4


def test_everyday_videos_are_read_by_decord_and_trained_on_upright(tmp_path):
    path = make_video(tmp_path / 'plain.mp4')
    assert isinstance(open_video(str(path)), decord.VideoReader)
    lying = turned(tmp_path / 'turned.mp4', path, 90)
    assert isinstance(open_video(str(lying)), UprightVideo)
    images = train_on(lying, [2, 9])
    for image, index in zip(images, (2, 9), strict=True):
        expected = np.rot90(picture(index))
        assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.fixture(params=['ffmpeg', 'OpenCV'])
def writer(request, monkeypatch):
    if request.param == 'OpenCV':
        monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    else:
        pytest.importorskip('imageio_ffmpeg')


def levels(total, size=(32, 48)):
    for index in range(total):
        yield np.full((*size, 3), 40 + 10 * (index % 20), np.uint8)


@pytest.mark.parametrize('fps, total', [(0.5, 2), (24000 / 1001, 61)])
def test_all_frames_are_written_in_order(writer, total, fps, tmp_path):
    path = tmp_path / 'new' / 'a.mp4'
    assert write_video(levels(total), path, fps) == path
    assert [*path.parent.iterdir()] == [path]
    found = [image.mean() for image in read_video(str(path))]
    expected = [image.mean() for image in levels(total)]
    np.testing.assert_allclose(found, expected, atol=4)


def test_a_full_disk_keeps_the_old_file(writer, tmp_path):
    path = tmp_path / 'a.mp4'
    path.write_text('the old one')
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(60))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match='the video could not be written'):
            write_video(frames, path, 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]


def test_a_writer_that_loses_the_last_frame(writer, tmp_path, monkeypatch):
    stock = video._open_writer

    @contextmanager
    def losing(*args):
        with stock(*args) as send:
            frames = iter(range(4))
            yield lambda frame: next(frames) < 3 and send(frame)

    monkeypatch.setattr(video, '_open_writer', losing)
    with pytest.raises(OSError, match='3 of 4 frames'):
        write_video(levels(4), tmp_path / 'a.mp4', 25)
    assert not [*tmp_path.iterdir()]


def test_errors_of_the_frames_are_theirs(writer, tmp_path):
    def broken():
        yield from levels(3)
        raise OSError('frame 3 is gone')

    path = tmp_path / 'a.mp4'
    path.write_text('the old one')
    with pytest.raises(OSError, match='^frame 3 is gone$'):
        write_video(broken(), path, 25)
    with pytest.raises(ValueError, match='needs at least one frame'):
        write_video([], path, 25)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]
