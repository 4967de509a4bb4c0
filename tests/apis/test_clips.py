"""Clips of all kinds, good and bad."""

import os

import cv2
import numpy as np
import pytest

from micacl_mm.apis.clip_listing import list_clips
from micacl_mm.apis.clips import (
    ArrayClip,
    ClipError,
    FrameFolderClip,
    VideoClip,
    open_clip,
)
from micacl_mm.apis.rotated_video import RotatedVideo

from .videos import picture, sound, turned, uneven, write_video


def write_frames(folder, names):
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(index)[..., ::-1])
    return folder


def test_a_video(tmp_path):
    clip = open_clip(write_video(tmp_path / 'a.mp4'))
    assert isinstance(clip, VideoClip) and clip.name == 'a'
    assert len(clip) == 20 and clip.fps == pytest.approx(25)
    assert np.allclose(clip.seconds, np.arange(20) / 25)
    assert clip.duration == pytest.approx(0.8)
    frame = clip.frame(7)
    assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
    assert abs(frame[-5:, -5:].mean() - 41) < 4


def test_a_folder_of_frames_is_read_in_natural_order(tmp_path):
    names = [f'{i}.png' for i in range(1, 13)]
    clip = open_clip(write_frames(tmp_path / 'clip', names), fps=10)
    assert isinstance(clip, FrameFolderClip) and len(clip) == 12
    values = [clip.frame(i)[-1, -1, 0] for i in range(12)]
    assert values == [20 + 3 * i for i in range(12)]
    assert clip.duration == pytest.approx(1.2)


def test_an_array():
    array = np.stack([picture(i) for i in range(5)])
    clip = open_clip(array)
    assert isinstance(clip, ArrayClip) and len(clip) == 5
    assert clip.fps == 25 and np.array_equal(clip.frame(3), array[3])


@pytest.mark.parametrize(
    'array, words',
    [
        (np.zeros((4, 8, 8), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((0, 8, 8, 3), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((4, 3, 8, 8), np.uint8), r'shape \(T, H, W, 3\)'),
        (np.zeros((4, 8, 8, 3), np.float32), 'uint8'),
    ],
)
def test_arrays_that_are_no_clip(array, words):
    with pytest.raises(ClipError, match=words):
        open_clip(array)


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_a_video_filmed_sideways_stands_upright(tmp_path, degrees):
    plain = write_video(tmp_path / 'plain.mp4')
    path = turned(tmp_path / 'turned.mp4', plain, degrees)
    clip = open_clip(path)
    expected = np.rot90(picture(0), degrees // 90)
    for index in (0, 9, 4, 4, 19):
        frame = clip.frame(index)
        assert frame.shape == expected.shape
        where = expected[..., 0] == 255
        assert frame[where].mean() > 200 > frame[~where].mean() + 50
        rest = np.median(frame[~where])
        assert abs(rest - (20 + 3 * index)) < 4
    assert len(clip) == 20


@pytest.mark.parametrize('size', [(48, 64), (72, 128), (180, 320)])
def test_everyday_videos_are_read_by_decord(tmp_path, size):
    """It garbles few, and those are read by OpenCV; the frames agree."""
    plain = write_video(tmp_path / 'plain.mp4', size=size)
    assert open_clip(plain).decode['type'] == 'DecordDecode'
    clip = open_clip(turned(tmp_path / 'turned.mp4', plain, 90))
    kind = clip.decode['type']
    assert kind in ('DecordDecode', 'ArrayDecode')
    if size == (180, 320):
        assert kind == 'DecordDecode'
    upright = RotatedVideo(str(tmp_path / 'turned.mp4'))
    for index in (0, 11, 19):
        difference = clip.frame(index).astype(int) - upright[index]
        assert np.abs(difference).mean() < 3


def test_time_stamps_of_an_uneven_video(tmp_path):
    plain = write_video(tmp_path / 'plain.mp4')
    clip = open_clip(uneven(tmp_path / 'uneven.mp4', plain))
    steps = np.diff(clip.seconds)
    assert np.allclose(steps[:9], 0.04, atol=0.005)
    assert np.allclose(steps[10:], 0.2, atol=0.005)


def test_one_frame(tmp_path):
    clip = open_clip(write_video(tmp_path / 'one.mp4', frames=1))
    assert len(clip) == 1 and clip.duration > 0


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    cv2.imwrite(str(tmp_path / 'face.png'), picture(0))
    (tmp_path / 'nothing').mkdir()
    cases = {
        tmp_path / 'text.mp4': 'no video that can be read',
        tmp_path / 'empty.mp4': 'the file is empty',
        tmp_path / 'face.png': 'this is an image',
        tmp_path / 'absent.mp4': 'no such file',
        tmp_path / 'nothing': r'neither videos \(',
        sound(tmp_path / 'sound.mp4'): 'no picture in it',
    }
    for path, words in cases.items():
        with pytest.raises(ClipError, match=words) as caught:
            open_clip(path)
        text = str(caught.value)
        assert text.startswith(str(path)) and '\n' not in text


def test_an_empty_image_is_named(tmp_path):
    folder = write_frames(tmp_path / 'clip', ['1.png', '2.png'])
    (folder / '3.png').touch()
    with pytest.raises(ClipError, match=r'3\.png: empty image file'):
        open_clip(folder)


def test_folders_are_searched_for_clips(tmp_path):
    (tmp_path / 'b').mkdir()
    for name in ('clip10.mp4', 'clip9.MP4', 'notes.txt', '.hidden.mp4'):
        (tmp_path / 'b' / name).write_text('x')
    frames = write_frames(tmp_path / 'a' / 'frames', ['1.png'])
    (tmp_path / 'c').mkdir()
    os.symlink(tmp_path, tmp_path / 'c' / 'circle')
    found = list_clips(tmp_path)
    names = ['clip9.MP4', 'clip10.mp4']
    assert found == [str(frames), *(str(tmp_path / 'b' / n) for n in names)]
    assert list_clips([frames, tmp_path / 'b']) == found
    array = np.zeros((2, 4, 4, 3), np.uint8)
    assert list_clips([array, 'x.mp4'])[1] == 'x.mp4'


def test_pictures_beside_clips_are_none(tmp_path):
    cv2.imwrite(str(tmp_path / 'cover.png'), picture(0))
    write_frames(tmp_path / '@eaDir', ['1.png'])
    write_frames(tmp_path / 'b', ['thumb.png'])
    assert list_clips(tmp_path / 'b') == [str(tmp_path / 'b')]
    (tmp_path / 'a.mp4').touch()
    (tmp_path / 'b' / 'b.mp4').touch()
    found = [str(tmp_path / 'a.mp4'), str(tmp_path / 'b' / 'b.mp4')]
    assert list_clips(tmp_path) == found


def test_inputs_without_any_clip(tmp_path):
    assert list_clips(tmp_path) == [str(tmp_path)]
    with pytest.raises(TypeError, match='a path or an array'):
        list_clips([3])
