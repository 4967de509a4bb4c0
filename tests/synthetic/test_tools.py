"""The command-line tools on a small set."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from micacl_mm.cli.make_data import main


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
    assert err.split('\n')[-2] == 'stopped; the same command continues'
    assert 'Traceback' not in err
    left = {path.name for path in root.iterdir()}
    assert 'synthetic.json' in left <= {'Clip', 'synthetic.json'}


def test_linear_probe_finds_a_planted_signal_and_no_other():
    from tools.dev.linear_probe import probe

    def made_up(strength):
        rng = np.random.default_rng(0)
        pattern = rng.normal(size=(7, 128))
        labels, truth = np.arange(420) % 7, np.arange(210) % 7
        train, test = (
            rng.normal(size=(len(k), 128)) + strength * pattern[k]
            for k in (labels, truth)
        )
        return train, labels, test, truth

    assert probe(*made_up(1.0))[0] > 0.98
    assert 0.3 < probe(*made_up(0.15))[0] < 0.9
    assert abs(probe(*made_up(0.0))[0] - 1 / 7) < 0.08
