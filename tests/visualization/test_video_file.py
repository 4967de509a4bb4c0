"""Videos are written whole, or not at all."""

import subprocess
import sys
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from micacl_mm.visualization import video_file
from micacl_mm.visualization.video_file import write_video

#: A disk that is full after 20,000 bytes.
FULL = """
import resource, sys
from pathlib import Path
from runpy import run_path

if {without}:
    sys.modules['imageio_ffmpeg'] = None  # importing it fails
import numpy as np

write_video = run_path({module!r})['write_video']  # without the package
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
frames = (rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(60))
try:
    write_video(frames, Path(sys.argv[1]), 25)
except OSError as error:
    print(error)
"""


@pytest.fixture(params=['ffmpeg', 'OpenCV'])
def writer(request, monkeypatch):
    if request.param == 'OpenCV':
        monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    else:
        pytest.importorskip('imageio_ffmpeg')


def grey(count, size=(32, 48)):
    for index in range(count):
        yield np.full((*size, 3), 40 + 10 * (index % 20), np.uint8)


def read(path):
    video = cv2.VideoCapture(str(path))
    while (found := video.read())[0]:
        yield found[1]


@pytest.mark.parametrize('fps', [0.5, 24000 / 1001, 120.1234])
@pytest.mark.parametrize('count', [1, 2, 61])
def test_all_frames_in_their_order(writer, count, fps, tmp_path):
    path = tmp_path / 'new' / 'a.mp4'
    assert write_video(grey(count), path, fps) == path
    assert [*path.parent.iterdir()] == [path]
    found = [image.mean() for image in read(path)]
    expected = [image.mean() for image in grey(count)]
    np.testing.assert_allclose(found, expected, atol=4)


@pytest.mark.parametrize('without', [False, True])
def test_a_full_disk(without, tmp_path):
    pytest.importorskip('resource')
    if not without:
        pytest.importorskip('imageio_ffmpeg')
    path = tmp_path / 'a.mp4'
    path.write_text('the old one')
    code = FULL.format(without=without, module=video_file.__file__)
    done = subprocess.run(
        [sys.executable, '-c', code, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (said,) = done.stdout.splitlines()
    assert said.startswith(f'{path}: the video could not be written (')
    assert said.endswith('; is the disk full?')
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]


def test_a_writer_that_loses_the_last_frame(writer, tmp_path, monkeypatch):
    path = tmp_path / 'a.mp4'
    for name in ('_ffmpeg', '_opencv'):
        stock = getattr(video_file, name)

        @contextmanager
        def losing(*args, stock=stock):
            with stock(*args) as send:
                frames = iter(range(4))
                yield lambda frame: next(frames) < 3 and send(frame)

        monkeypatch.setattr(video_file, name, losing)
    with pytest.raises(OSError, match=r'\(3 of 4 frames can be read again\)'):
        write_video(grey(4), path, 25)
    assert not [*tmp_path.iterdir()]


def test_a_writer_that_does_not_open(tmp_path, monkeypatch):
    class Closed:
        def __init__(self, *args):
            pass

        def isOpened(self):
            return False

    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    monkeypatch.setattr(cv2, 'VideoWriter', Closed)
    with pytest.raises(OSError, match='OpenCV cannot open the file'):
        write_video(grey(4), tmp_path / 'a.mp4', 25)
    assert not [*tmp_path.iterdir()]


def test_errors_of_the_frames_are_theirs(writer, tmp_path):
    def broken():
        yield from grey(3)
        raise OSError('frame 3 is gone')

    path = tmp_path / 'a.mp4'
    path.write_text('the old one')
    with pytest.raises(OSError, match='^frame 3 is gone$'):
        write_video(broken(), path, 25)
    with pytest.raises(ValueError, match='needs at least one frame'):
        write_video([], path, 25)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]
