"""The command-line tools on a small set."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm.cli.make_data import main
from micacl_mm.synthetic import LEVELS, ClipSpec
from micacl_mm.synthetic.clip import clip_scene

TOOLS = Path(__file__).parents[2] / 'tools' / 'dev'


def _load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_synthetic_prints_what_it_wrote(tmp_path, capsys):
    arguments = [str(tmp_path / 'set'), '--layout', 'ferv39k']
    assert main([*arguments, '--clips', '14', '--size', '32']) == 0
    out, err = capsys.readouterr()
    assert '14 clips' in out and 'Happy' in out and 'real data' in out
    assert '14/14 clips' in err
    assert main([*arguments, '--clips', '15', '--size', '32']) == 2
    assert 'another num_clips' in capsys.readouterr().err
    assert main([*arguments, '--clips', '14', '--seed', '-1']) == 2
    assert 'seed must be' in capsys.readouterr().err


@pytest.mark.skipif(os.name == 'nt', reason='signals of a process group')
def test_ctrl_c_says_how_to_go_on(tmp_path):
    root = tmp_path / 'set'
    command = [sys.executable, '-m', 'micacl_mm', 'make-data', root]
    process = subprocess.Popen(
        [*command, '--clips', '2000', '--size', '32', '--workers', '2'],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 60
        while not any(root.rglob('*.jpg')) and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.split('\n')[-2] == 'stopped; the same command goes on from here'
    assert 'Traceback' not in err
    assert sorted(p.name for p in root.iterdir()) == ['Clip', 'synthetic.json']


def _made_up(signal_size, seed=0):
    """Rows of 2 x 8 x 8 numbers with a pattern of each class in them."""
    rng = np.random.default_rng(seed)
    pattern = rng.normal(size=(7, 128))
    labels, truth = np.arange(420) % 7, np.arange(210) % 7
    return (
        rng.normal(size=(420, 128)) + signal_size * pattern[labels],
        labels,
        rng.normal(size=(210, 128)) + signal_size * pattern[truth],
        truth,
    )


def test_linear_probe_finds_a_planted_signal_and_no_other():
    probe = _load('linear_probe').probe
    assert probe(*_made_up(1.0))['uar'] > 0.98
    assert 0.3 < probe(*_made_up(0.15))['uar'] < 0.9
    assert abs(probe(*_made_up(0.0))['uar'] - 1 / 7) < 0.08


@pytest.mark.parametrize('layout', ['dfew', 'ferv39k'])
def test_linear_probe_reads_both_layouts(layout, capsys, request):
    root, summary = request.getfixturevalue(layout)
    probe = _load('linear_probe')
    split = 'test1' if layout == 'dfew' else 'test'
    rows, labels = probe.mean_frames(
        probe.load_split(str(root), 'test', layout), 8
    )
    counts = list(summary['splits'][split].values())
    assert np.bincount(labels).tolist() == counts
    assert rows.shape == (sum(counts), 192)
    assert probe.main([str(root), '--layout', layout, '--size', '8']) == 0
    out = capsys.readouterr().out
    assert re.search(r'linear probe on mean frames: UAR 0\.\d{3}, WAR', out)


def test_linear_probe_takes_the_mean_of_all_frames(tmp_path):
    for index, grey in enumerate((10, 20, 60)):
        image = np.full((16, 16 + index, 3), grey, np.uint8)
        cv2.imwrite(str(tmp_path / f'{index}.png'), image)

    class OneClip(list):
        def get_data_info(self, index):
            return self[index]

    names = ['0.png', '1.png', '2.png']
    clip = dict(frame_dir=str(tmp_path), frames=names, label=4)
    probe = _load('linear_probe')
    rows, labels = probe.mean_frames(OneClip([clip]), 2)
    np.testing.assert_allclose(rows, np.full((1, 12), 30.0))
    assert labels.tolist() == [4]
    (tmp_path / '1.png').write_bytes(b'broken')
    with pytest.raises(OSError, match='cannot read .*1.png'):
        probe.mean_frames(OneClip([clip]), 2)


def test_linear_probe_names_what_is_missing(tmp_path, capsys):
    assert _load('linear_probe').main([str(tmp_path)]) == 2
    assert 'EmoLabel_DataSplit' in capsys.readouterr().err


def test_contact_sheet_shows_open_eyes():
    tool = _load('contact_sheet')
    assert tool.contact_sheet(1, 32).shape == (7 * 32, 32, 3)
    knobs, frames = LEVELS['medium'], []
    for number in range(1, 41):
        clip = ClipSpec(number, ('Happy',), number, 0)
        frame = tool.clear_apex(clip, 4, knobs)
        if frame is not None:
            frames.append(frame)
            scene = clip_scene(clip, 4, 'dfew', knobs)
            assert scene.blink[frame] == 0
            assert (scene.speech[frame] == 0).all()
    assert 10 < len(frames) <= 40
