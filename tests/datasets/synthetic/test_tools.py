"""The two command-line tools on a small set."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / 'tools' / 'data'


def _load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_synthetic_prints_what_it_wrote(tmp_path, capsys):
    main = _load('make_synthetic').main
    arguments = [str(tmp_path / 'set'), '--layout', 'ferv39k']
    assert main([*arguments, '--clips', '14', '--size', '32']) == 0
    out, err = capsys.readouterr()
    assert '14 clips' in out and 'Happy' in out and 'real data' in out
    assert '14/14 clips' in err
    assert main([*arguments, '--clips', '15', '--size', '32']) == 2
    assert 'another num_clips' in capsys.readouterr().err


def test_linear_probe_is_poor(tmp_path, capsys):
    arguments = ['--clips', '90', '--size', '32', '--folds', '1']
    root = tmp_path / 'set'
    _load('make_synthetic').main([str(root), *arguments])
    best = _load('linear_probe').probe(root, fold=1, size=16)
    assert 0 <= best['uar'] < 0.45
    assert 0 <= best['war'] < 0.5
    assert _load('linear_probe').main([str(root)]) == 0
    assert 'linear probe on mean frames: UAR' in capsys.readouterr().out


def test_linear_probe_reads_ferv39k(ferv39k):
    probe = _load('linear_probe')
    clips = probe.read_split(ferv39k[0], 'train', 1)
    rows, labels = probe.mean_frames(clips, 8)
    assert rows.shape == (len(clips), 192)
    assert set(labels) == set(range(7))


def test_linear_probe_finds_a_linear_difference():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), 30)
    rows = rng.normal(size=(210, 20))
    rows[:, :7] += 6 * np.eye(7)[labels]
    scores = _load('linear_probe').ridge_scores(rows, labels, rows, 1.0)
    assert (scores.argmax(1) == labels).mean() > 0.95


def test_linear_probe_names_what_is_missing(tmp_path, capsys):
    assert _load('linear_probe').main([str(tmp_path)]) == 2
    assert 'ROOT must be' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match='no frames'):
        _load('linear_probe').mean_frames([(tmp_path, 0)], 8)
