"""Clips of all kinds, good and bad, and their windows in time."""

import os

import cv2
import numpy as np
import pytest

from micacl_mm.apis import ClipError
from micacl_mm.apis.clips import (
    FrameReader,
    check_windows,
    cut_windows,
    list_clips,
    open_clip,
)

from .videos import cut_off, picture, sound, turned, uneven, write_video


def write_frames(folder, names):
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(index))
    return folder


def test_a_video(tmp_path):
    clip = open_clip(write_video(tmp_path / 'a.mp4'))
    assert clip.name == 'a' and len(clip) == 20
    assert clip.fps == pytest.approx(25)
    assert np.allclose(clip.seconds, np.arange(20) / 25)
    assert clip.duration == pytest.approx(0.8)
    frame = clip.frame(7)
    assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
    assert abs(frame[-5:, -5:].mean() - 41) < 4
    clip = open_clip(write_video(tmp_path / 'one.mp4', frames=1))
    assert len(clip) == 1 and clip.duration > 0


def test_a_folder_of_frames_is_read_in_natural_order(tmp_path):
    names = [f'{i}.png' for i in range(1, 13)]
    clip = open_clip(write_frames(tmp_path / 'clip', names), fps=10)
    values = [clip.frame(i)[-1, -1, 0] for i in range(len(clip))]
    assert values == [20 + 3 * i for i in range(12)]
    assert clip.duration == pytest.approx(1.2)
    (tmp_path / 'clip' / '13.png').touch()
    with pytest.raises(ClipError, match=r'13\.png: empty image file'):
        open_clip(tmp_path / 'clip')


@pytest.mark.parametrize(
    'array, words',
    [
        (np.zeros((4, 8, 8), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((0, 8, 8, 3), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((4, 3, 8, 8), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((4, 8, 8, 3), np.float32), 'uint8'),
    ],
)
def test_arrays(array, words):
    with pytest.raises(ClipError, match=words):
        open_clip(array)
    array = np.stack([picture(i) for i in range(5)])
    clip = open_clip(array)
    assert clip.fps == 25 and np.array_equal(clip.frame(3), array[3])


@pytest.mark.parametrize(
    'degrees, size', [(90, (48, 64)), (180, (72, 128)), (270, (180, 320))]
)
def test_a_video_filmed_sideways_stands_upright(tmp_path, degrees, size):
    plain = write_video(tmp_path / 'plain.mp4', size=size)
    clip = open_clip(turned(tmp_path / 'turned.mp4', plain, degrees))
    assert len(clip) == 20
    for index in (0, 9, 4, 4, 19):
        expected = np.rot90(picture(index, *size), degrees // 90)
        frame = clip.frame(index)
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 6


def test_time_stamps_of_an_uneven_video(tmp_path):
    plain = write_video(tmp_path / 'plain.mp4')
    clip = open_clip(uneven(tmp_path / 'uneven.mp4', plain))
    steps = np.diff(clip.seconds)
    assert np.allclose(steps[:9], 0.04, atol=0.005)
    assert np.allclose(steps[10:], 0.2, atol=0.005)


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    cv2.imwrite(str(tmp_path / 'face.png'), picture(0))
    (tmp_path / 'nothing').mkdir()
    plain = write_video(tmp_path / 'plain.mp4', frames=60)
    cases = {
        tmp_path / 'text.mp4': 'no video that can be read',
        tmp_path / 'empty.mp4': 'the file is empty',
        tmp_path / 'face.png': 'this is an image',
        tmp_path / 'absent.mp4': 'no such file',
        tmp_path / 'nothing': r'neither videos \(',
        sound(tmp_path / 'sound.mp4'): 'no picture in it',
        cut_off(tmp_path / 'cut.mp4', plain, 0.6): 'the file is cut off',
        cut_off(tmp_path / 'cut.mkv', plain, 0.6): 'the file is cut off',
        cut_off(tmp_path / 'cut.avi', plain, 0.4): 'the file is cut off',
    }
    for path, words in cases.items():
        with pytest.raises(ClipError, match=words) as caught:
            open_clip(path)
        text = str(caught.value)
        assert text.startswith(str(path)) and '\n' not in text


def test_folders_are_searched_for_clips(tmp_path):
    (tmp_path / 'b').mkdir()
    for name in ('clip10.mp4', 'clip9.MP4', 'notes.txt', '.hidden.mp4'):
        (tmp_path / 'b' / name).write_text('x')
    cv2.imwrite(str(tmp_path / 'b' / 'cover.png'), picture(0))
    frames = write_frames(tmp_path / 'a' / 'frames', ['1.png'])
    write_frames(tmp_path / 'a' / '@eaDir', ['1.png'])
    (tmp_path / 'c').mkdir()
    os.symlink(tmp_path, tmp_path / 'c' / 'circle')
    found = list_clips(tmp_path)
    names = ['clip9.MP4', 'clip10.mp4']
    assert found == [str(frames), *(str(tmp_path / 'b' / n) for n in names)]
    assert list_clips([frames, tmp_path / 'b']) == found
    assert list_clips(tmp_path / 'c') == [str(tmp_path / 'c')]
    array = np.zeros((2, 4, 4, 3), np.uint8)
    assert list_clips([array, 'x.mp4'])[1] == 'x.mp4'
    with pytest.raises(TypeError, match='a path or an array'):
        list_clips([3])


def times(frames, fps=10.0):
    return np.arange(frames) / fps, frames / fps


def test_windows_by_hand():
    for length in (None, 3.0, 99.0):
        (window,) = cut_windows(*times(30), length)
        assert (window.start, window.end) == (0, 3)
        assert window.frames.tolist() == list(range(30))
    windows = cut_windows(*times(50), 2.0, 1.0)
    starts = [(w.start, w.end) for w in windows]
    assert starts == [(0, 2), (1, 3), (2, 4), (3, 5)]
    assert windows[1].frames.tolist() == list(range(10, 30))
    windows = cut_windows(*times(47), 2.0, 1.0)  # the last one is moved
    assert [round(w.start, 6) for w in windows] == [0, 1, 2, 2.7]
    assert windows[-1].end == pytest.approx(4.7)
    assert windows[-1].frames.tolist() == list(range(27, 47))
    # A gap in a variable frame rate.
    seconds = np.array([0.0, 0.1, 0.2, 5.0, 5.1])
    sizes = [len(w.frames) for w in cut_windows(seconds, 5.2, 1.0, 1.0)]
    assert sizes[0] == 3 and sizes[2] == 0 and sizes[-1] == 2


@pytest.mark.parametrize('frames', [31, 99, 1000])
@pytest.mark.parametrize('length, stride', [(3.0, None), (1.0, 0.3), (2, 2)])
def test_every_frame_is_in_a_window_and_no_window_is_empty(
    frames, length, stride
):
    seconds, duration = times(frames)
    stride = check_windows(length, stride)
    windows = cut_windows(seconds, duration, length, stride)
    assert set(np.concatenate([w.frames for w in windows])) == {*range(frames)}
    for window in windows:
        known = seconds[window.frames]
        assert (known >= window.start - 1e-9).all()
        assert (known < window.end + 1e-9).all()
        assert len(window.frames) >= length * 10 - 1


@pytest.mark.parametrize(
    'length, stride', [(0, None), (-1, None), (2, 0), (2, 3), (2, -1)]
)
def test_windows_that_make_no_sense(length, stride):
    with pytest.raises(ValueError, match='must be positive seconds'):
        check_windows(length, stride)
    assert check_windows(3.0, None) == 1.5


def test_frames_that_bags_share_are_read_once_in_order(tmp_path):
    clip = open_clip(write_video(tmp_path / 'a.mp4'))
    read, seen = clip.read, []
    clip.read = lambda index: seen.append(index) or read(index)
    bags = [[0, 4, 4, 8], [2, 4, 6, 10], [9, 10, 19, 19]]
    reader = FrameReader(clip, [np.array(bag) for bag in bags])
    whole = open_clip(tmp_path / 'a.mp4')
    for bag in bags:
        images = reader.take(np.array(bag))
        for index, image in zip(bag, images, strict=True):
            assert np.array_equal(image, whole.frame(index))
            image[:] = 0  # what a transform does to it stays its own
    assert seen == [0, 2, 4, 6, 8, 9, 10, 19]
