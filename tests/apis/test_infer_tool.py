"""tools/infer.py: files, pictures, videos, exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.visualization.helpers import check_png

from .conftest import NAMES
from .videos import write_video

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools'))
import infer as tool  # noqa: E402


@pytest.fixture
def run(place, tmp_path, capsys):
    def run(*arguments):
        model = ('--config', place / 'config.py')
        model += ('--checkpoint', place / 'model.pth', '--device', 'cpu')
        out = ('--out', tmp_path / 'out')
        code = tool.main([*map(str, (*arguments, *model, *out))])
        return code, tmp_path / 'out', capsys.readouterr()

    return run


def table(path):
    with path.open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_files_of_clips_good_and_bad(run, tmp_path):
    good = write_video(tmp_path / 'good.mp4', frames=100)
    (tmp_path / 'text.mp4').write_text('no video')
    code, out, said = run(good, tmp_path / 'text.mp4', '--window', 2)
    assert code == 1
    assert '1 of 2 predicted' in said.out
    assert 'text.mp4: this is no video that can be read' in said.err
    whole = json.loads((out / 'predictions.json').read_text())
    assert whole['classes'] == [*NAMES]
    (found,), (failed,) = whole['predictions'], whole['failures']
    assert failed['clip'].endswith('text.mp4')
    first, second = table(out / 'predictions.csv')
    assert first['label'] == found['label'] and second['label'] == ''
    for name in NAMES:
        expected = found['scores'][name]
        assert float(first[name]) == pytest.approx(expected, abs=1e-4)
    windows = table(out / 'timeline.csv')
    assert len(windows) == len(found['timeline']) == 3
    assert [float(w['start']) for w in windows] == [0, 1, 2]
    names = {path.name for path in out.iterdir()}
    assert names == {'predictions.json', 'predictions.csv', 'timeline.csv'}


def test_pictures_and_videos(run, tmp_path):
    long = write_video(tmp_path / 'long.mp4', frames=60, size=(100, 70))
    (tmp_path / 'other').mkdir()
    same = write_video(tmp_path / 'other/long.mp4', frames=3)
    code, out, said = run(*(long, same, '--window', 1, '--video', '--picture'))
    assert code == 0 and str(out / 'long.png') in said.out
    for name, frames in (('long', 60), ('long_2', 3)):
        check_png(out / f'{name}.png')
        capture = cv2.VideoCapture(str(out / f'{name}.mp4'))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == frames
        read, image = capture.read()
        assert read and image.shape[0] > 360 and image.std() > 10
    assert not [p for p in out.iterdir() if p.name.startswith('.')]


def test_wrong_arguments_end_in_a_sentence(run, place, tmp_path):
    (tmp_path / 'nothing').mkdir()
    cases = [
        ((tmp_path / 'nothing',), 'neither videos'),
        (('x.mp4', '--window', -1), 'must be positive seconds'),
        (('x.mp4', '--face', 'NoSuchDetector'), 'NoSuchDetector'),
        (('x.mp4', '--config', 'absent.py'), 'absent.py'),
    ]
    for arguments, words in cases:
        if '--config' in arguments:
            argv = [*arguments, '--checkpoint', place / 'model.pth']
            argv += ['--out', tmp_path / 'out']
            code = tool.main([*map(str, argv)])
        else:
            code, out, said = run(*arguments)
            assert words in said.err and said.err.count('\n') == 1
        assert code == 2
        assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(place, tmp_path):
    (tmp_path / 'in').mkdir()
    for index in range(400):
        write_video(tmp_path / f'in/{index}.mp4', 2)
    command = [sys.executable, ROOT / 'tools/infer.py', tmp_path / 'in']
    command += ['--config', place / 'config.py', '--device', 'cpu']
    command += ['--checkpoint', place / 'model.pth', '--out', tmp_path / 'o']
    process = subprocess.Popen(
        [*map(str, command), '--video'],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(PYTHONUNBUFFERED='1'),
    )
    for line in process.stdout:
        if line.startswith('  '):  # a video has been written
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130, rest
    whole = json.loads((tmp_path / 'o/predictions.json').read_text())
    assert 0 < len(whole['predictions']) < 400
    hidden = [p for p in (tmp_path / 'o').iterdir() if p.name[0] == '.']
    assert not hidden
