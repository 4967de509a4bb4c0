"""Runs that stop, go on, meet each other or find another set."""

import json
import os
import shutil
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest

from micacl_mm.synthetic import make_synthetic

from .digests import digests

SEED = 3  # as in conftest.py
FERV39K = dict(
    layout='ferv39k', num_clips=30, seed=SEED, size=32, test_per_class=2
)
SMALL = dict(layout='ferv39k', num_clips=14, size=32)


def _scratch(root):
    return [p.name for p in root.iterdir() if p.name.startswith('.')]


def test_resumes_where_it_was_interrupted(ferv39k, tmp_path):
    root = tmp_path / 'set'
    shutil.copytree(ferv39k[0], root)
    whole = digests(root)
    folder = next((root / '2_ClipsforFaceCrop').glob('*/Happy/*'))
    shutil.rmtree(folder)
    video = next((root / '0_7_LabelClips').glob('*/Sad/*'))
    video.unlink()
    (root / '4_setups/All_scenes/train_All.csv').unlink()
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # the same versions: no warning
        again = make_synthetic(root, videos=True, **FERV39K)
    assert again['drawn'] == 2
    assert digests(root) == whole
    idle = make_synthetic(root, **FERV39K)
    assert idle['drawn'] == 0


def test_a_clip_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    write, written = cv2.imwrite, []

    def stop(path, *args):
        written.append(path)
        if len(written) == 40:
            raise KeyboardInterrupt
        return write(path, *args)

    monkeypatch.setattr(cv2, 'imwrite', stop)
    root = tmp_path / 'set'
    with pytest.raises(KeyboardInterrupt):
        make_synthetic(root, **SMALL)
    assert not _scratch(root)
    found = len(list(root.rglob('*.jpg')))
    assert 0 < found < 40
    monkeypatch.undo()
    again = make_synthetic(root, **SMALL)
    done = 14 - again['drawn']
    assert done == len({os.path.dirname(path) for path in written}) - 1


def test_two_runs_at_once(tmp_path):
    root = tmp_path / 'set'
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(make_synthetic, root, **SMALL) for _ in '12']
    assert sum(run.result()['drawn'] for run in runs) >= 14
    assert not _scratch(root)
    make_synthetic(tmp_path / 'alone', **SMALL)
    assert digests(root) == digests(tmp_path / 'alone')


def test_leaves_the_scratch_folder_of_a_live_run(tmp_path, no_clips):
    root = tmp_path / 'set'
    for name in ('.unfinished-live', '.unfinished-dead', '.unfinished'):
        (root / name / '7').mkdir(parents=True)
    hour_ago = time.time() - 3600
    for name in ('.unfinished-dead', '.unfinished'):
        os.utime(root / name, (hour_ago, hour_ago))
    make_synthetic(root, **SMALL)
    assert _scratch(root) == ['.unfinished-live']


@pytest.mark.parametrize('half', [None, '', '{"notice": "Dra', '[]', '{}'])
def test_a_stop_before_the_marker_is_whole_leaves_the_folder_free(
    half, tmp_path, no_clips
):
    root = tmp_path / 'set'
    (root / '.unfinished-x').mkdir(parents=True)
    if half is not None:
        (root / 'synthetic.json').write_text(half)
    make_synthetic(root, **SMALL)
    marker = json.loads((root / 'synthetic.json').read_text())
    assert marker['settings']['num_clips'] == 14
    assert set(marker['versions']) == {'numpy', 'cv2'}


@pytest.mark.parametrize('half', ['', '{"notice": "Dra', '[]', '\ud800'])
def test_a_damaged_marker_is_told(half, tmp_path):
    (tmp_path / 'Clip').mkdir()
    marker = tmp_path / 'synthetic.json'
    marker.write_bytes(half.encode('utf-8', 'surrogatepass'))
    with pytest.raises(ValueError, match='synthetic.json is damaged'):
        make_synthetic(tmp_path, **SMALL)


def test_the_marker_comes_first(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cv2, 'imwrite', stop)
    with pytest.raises(KeyboardInterrupt):
        make_synthetic(tmp_path / 'set', **SMALL)
    assert [p.name for p in (tmp_path / 'set').iterdir()] == ['synthetic.json']


def test_other_versions_warn(ferv39k, tmp_path):
    root = tmp_path / 'set'
    shutil.copytree(ferv39k[0], root)
    marker = root / 'synthetic.json'
    text = marker.read_text().replace(cv2.__version__, '3.4.0')
    marker.write_text(text)
    with pytest.warns(UserWarning, match=r'begun under .*3\.4\.0'):
        make_synthetic(root, **FERV39K)
    assert marker.read_text() == text


def test_refuses_another_set(dfew):
    with pytest.raises(ValueError, match='another seed'):
        make_synthetic(
            dfew[0], num_clips=40, seed=9, size=32, test_per_class=2
        )


def test_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / 'thesis.tex').write_text('mine')
    for root in (tmp_path, tmp_path / 'thesis.tex'):
        with pytest.raises(ValueError, match='is no synthetic set'):
            make_synthetic(root, num_clips=35)
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.tex']


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(num_clips=34), 'at least 35'),
        (dict(layout='ferv39k', num_clips=13), 'at least 14'),
        (dict(layout='mafw'), 'layout must be'),
        (dict(seed=-1), 'seed must be 0 or more, got -1'),
        (dict(size=16), 'size must be 32'),
        (dict(size=65), 'size must be even'),
        (dict(folds=(0, 1)), 'folds must be'),
        (dict(folds=()), 'folds must be'),
        (dict(test_per_class=-1), 'test_per_class must be'),
        (dict(workers=0), 'workers must be'),
        (dict(difficulty='cruel'), 'difficulty must be'),
    ],
)
def test_bad_arguments(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_synthetic(tmp_path / 'set', **wrong)
    assert not (tmp_path / 'set').exists()
