"""Which clips a set has, its files on disk, and runs that are resumed."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from itertools import product

import cv2
import numpy as np
import openpyxl
import pytest

from micacl_mm.cli import main
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.synthetic import EMOTIONS, make_synthetic, writer
from micacl_mm.synthetic.clip import clip_layout
from micacl_mm.synthetic.layouts import (
    DFEW_COUNTS,
    plan_dfew,
    plan_ferv39k,
    proportional_counts,
)
from tests.sets import touch

pytestmark = pytest.mark.usefixtures('grey_clips')
FOLDS = (1, 2, 3, 4, 5)
DFEW = dict(num_clips=35, seed=3, size=32, test_per_class=2, folds=(1, 2))
SMALL = dict(layout='ferv39k', num_clips=14, size=32)
FERV39K = dict(SMALL, seed=3)


@pytest.fixture(scope='module')
def dfew(tmp_path_factory, grey_clips):
    root = tmp_path_factory.mktemp('dfew') / 'set'
    return root, make_synthetic(root, **DFEW)


@pytest.fixture(scope='module')
def ferv39k(tmp_path_factory, grey_clips):
    root = tmp_path_factory.mktemp('ferv39k') / 'set'
    return root, make_synthetic(root, videos=True, **FERV39K)


@pytest.fixture
def no_clips(monkeypatch):
    """Everything of a run but the drawing, which takes the time."""
    monkeypatch.setattr(writer, 'write_clip', lambda clip, **_: False)


def contents(root):
    files = (path for path in root.rglob('*') if path.is_file())
    return {path.relative_to(root): path.read_bytes() for path in files}


# ---- the plan


def classes(clips):
    counts = Counter(clip.emotions[0] for clip in clips)
    return [counts[emotion] for emotion in EMOTIONS]


@pytest.mark.parametrize('total', [300, 11697])
def test_dfew_folds_partition_the_clips(total):
    plan = plan_dfew(total, 0, FOLDS, 0)
    single = {c.clip_id for c in plan.clips if len(c.emotions) == 1}
    tests = [{c.clip_id for c in plan.splits[f'test{k}']} for k in FOLDS]
    assert sum(map(len, tests)) == total and set.union(*tests) == single
    share = np.array(proportional_counts(total, DFEW_COUNTS, 5)) / 5
    for fold, test in zip(FOLDS, tests, strict=True):
        train = {c.clip_id for c in plan.splits[f'train{fold}']}
        assert train == single - test
        sizes = np.array(classes(plan.splits[f'test{fold}']))
        assert np.abs(sizes - share).max() <= 1


@pytest.mark.parametrize('top_up', [0, 12])
def test_persons_and_topped_up_clips_of_the_test_are_not_trained_on(top_up):
    dfew = plan_dfew(300, 1, FOLDS, top_up).splits
    ferv = plan_ferv39k(300, 1, top_up).splits
    for train, test in [
        *((dfew[f'train{k}'], dfew[f'test{k}']) for k in FOLDS),
        (ferv['train'], ferv['test']),
    ]:
        assert {c.identity for c in train}.isdisjoint(c.identity for c in test)
        assert not any(c.extra for c in train)
        assert any(c.extra for c in test) == bool(top_up)
        assert min(classes(train)) >= 1
        assert min(classes(test)) >= max(top_up, 1)


# ---- the files


def test_dfew_frames_splits_and_annotation(dfew):
    root, summary = dfew
    folders = sorted((root / 'Clip/clip_224x224').iterdir())
    clips = plan_dfew(35, 3, (1, 2), 2).clips
    assert len(clips) == summary['clips'] == summary['drawn']
    for folder, clip in zip(folders, clips, strict=True):
        assert folder.name == clip.name == f'{int(clip.name):05d}'
        names = sorted(path.name for path in folder.iterdir())
        _, numbers = clip_layout(clip, 3, 'dfew')
        assert names == [f'{clip.name}_{n:05d}.jpg' for n in numbers]
        assert cv2.imread(str(folder / names[0])).shape == (32, 32, 3)
    labels = {}
    for fold, split in product((1, 2), ('train', 'test')):
        found = DFEWDataset(str(root), [], fold=fold, split=split)
        expected = [*summary['splits'][f'{split}{fold}'].values()]
        assert found.class_counts == expected and min(expected) >= 1
        labels |= {int(row.video_id): row.label for row in found.split_rows()}
    sheet = openpyxl.load_workbook(root / 'Annotation/annotation.xlsx').active
    head, *rows = sheet.iter_rows(values_only=True)
    assert len(head) == 9 and all(isinstance(name, str) for name in head)
    assert [row[7] for row in rows] == [int(path.name) for path in folders]
    for *votes, name, code in rows:
        assert sum(votes) == 10
        assert max(votes) < 6 if code == 0 else votes[code - 1] >= 6
        assert labels.get(name, -1) == code - 1
    assert [row[8] for row in rows].count(0) >= 2


def test_ferv39k_tree_splits_and_videos(ferv39k):
    root, summary = ferv39k
    for split, counts in summary['splits'].items():
        kwargs = dict(split=split, data_root=str(root), pipeline=[])
        clips = FERV39kDataset(**kwargs)
        videos = FERV39kDataset(**kwargs, source='videos')
        assert clips.class_counts == videos.class_counts == [*counts.values()]
        assert min(counts.values()) >= 1
        for clip, video in zip(clips, videos, strict=True):
            shown = cv2.VideoCapture(video['filename'])
            total = shown.get(cv2.CAP_PROP_FRAME_COUNT)
            assert total >= clip['total_frames']
            if clip['frames'][0] == '00001.jpg':
                image = cv2.imread(f'{clip["frame_dir"]}/00001.jpg')
                difference = image - shown.read()[1].astype(int)
                assert np.abs(difference).mean() < 20
        lines = (root / f'4_setups/All_scenes/{split}_All.csv').read_text()
        scenes = []
        for path in (root / '4_setups/22_scenes').glob(f'{split}_*.csv'):
            scenes += path.read_text().splitlines()
        assert sorted(scenes) == sorted(lines.splitlines())


# ---- runs


def test_workers_and_a_resumed_run_give_the_same_bytes(ferv39k, tmp_path):
    root = tmp_path / 'set'
    summary = make_synthetic(root, workers=2, videos=True, **FERV39K)
    assert summary['drawn'] == summary['clips']
    whole = contents(ferv39k[0])
    assert contents(root) == whole
    shutil.rmtree(next((root / '2_ClipsforFaceCrop').glob('*/Happy/*')))
    next((root / '0_7_LabelClips').glob('*/Sad/*')).unlink()
    (root / '4_setups/All_scenes/train_All.csv').unlink()
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # the same versions: no warning
        again = make_synthetic(root, videos=True, **FERV39K)
    assert again['drawn'] == 2 and contents(root) == whole


@pytest.mark.parametrize('stop_at', [1, 40])
def test_a_clip_appears_whole_or_not_at_all(
    stop_at, tmp_path, monkeypatch, capsys
):
    write, written, root = cv2.imwrite, [], tmp_path / 'set'

    def stop(path, *args):
        written.append(os.path.dirname(path))
        if len(written) == stop_at:
            raise KeyboardInterrupt
        return write(path, *args)

    monkeypatch.setattr(cv2, 'imwrite', stop)
    words = ['make-data', str(root), '--layout', 'ferv39k', '--clips', '14']
    assert main([*words, '--size', '32']) == 130
    assert not list(root.glob('.*')) and (root / 'synthetic.json').exists()
    assert len(list(root.rglob('*.jpg'))) < stop_at
    if stop_at > 1:
        monkeypatch.undo()
        capsys.readouterr()
        assert main([*words, '--size', '32']) == 0
        out, err = capsys.readouterr()
        assert f'{14 - (len({*written}) - 1)} drawn now' in out
        assert '14 clips' in out and 'Happy' in out and 'real data' in out
        assert '100%' in err


@pytest.mark.parametrize('half', ['', '{"notice": "Dra', '[]', '\ud800'])
def test_a_half_written_marker(half, tmp_path, no_clips):
    for root in (tmp_path / 'free', tmp_path / 'used'):
        (root / '.unfinished-x').mkdir(parents=True)
        marker = root / 'synthetic.json'
        marker.write_bytes(half.encode('utf-8', 'surrogatepass'))
    touch(tmp_path / 'used/Clip/thesis.tex')
    for root in (tmp_path / 'used', tmp_path / 'used/Clip/thesis.tex'):
        with pytest.raises(ValueError, match=r'has no sound synthetic\.json'):
            make_synthetic(root, **SMALL)
    assert len(list((tmp_path / 'used').rglob('*'))) == 4
    make_synthetic(tmp_path / 'free', **SMALL)
    marker = json.loads((tmp_path / 'free/synthetic.json').read_text())
    assert marker['settings']['num_clips'] == 14


def test_other_versions_warn_and_other_settings_are_refused(
    tmp_path, capsys, no_clips
):
    make_synthetic(tmp_path, **SMALL)
    marker = tmp_path / 'synthetic.json'
    text = marker.read_text().replace(cv2.__version__, '3.4.0')
    marker.write_text(text)
    with pytest.warns(UserWarning, match=r'begun under .*3\.4\.0'):
        make_synthetic(tmp_path, **SMALL)
    assert marker.read_text() == text
    words = ['make-data', str(tmp_path), '--layout', 'ferv39k', '--clips']
    assert main([*words, '15', '--size', '32']) == 2
    assert 'another num_clips' in capsys.readouterr().err


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(num_clips=34), 'at least 35'),
        (dict(layout='ferv39k', num_clips=13), 'at least 14'),
        (dict(layout='mafw'), 'layout must be'),
        (dict(seed=-1), 'seed must be 0 or more'),
        (dict(size=16), 'size must be at least 32'),
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


def test_drawing_loads_no_torch(tmp_path):
    code = (
        'import sys; sys.argv = ["micacl"]\n'
        'from micacl_mm.cli import main\n'
        f'main(["make-video", {str(tmp_path / "a.mp4")!r}, "--size", "32"])\n'
        'assert not {"torch", "mmengine", "mmaction"} & {*sys.modules}'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize('layout', ['dfew', 'ferv39k'])
def test_numbers_rows_persons_and_lengths_do_not_tell_the_class(layout):
    if layout == 'dfew':
        plan = plan_dfew(2000, 0, FOLDS, 80)
    else:
        plan = plan_ferv39k(2000, 0, 80)
    for clips in plan.splits.values():
        label = np.array([EMOTIONS.index(c.emotions[0]) for c in clips])
        told = [
            range(len(clips)),
            [c.identity for c in clips],
            [clip_layout(c, 0, layout)[0] for c in clips],
        ]
        if layout == 'dfew':  # FERV39k's names hold the class anyhow
            told.append([int(c.name) for c in clips])
        for values in told:
            # The mean rank of each class is that of all.
            rank = np.argsort(np.argsort(values)) / len(values)
            for part in (rank[label == k] for k in range(len(EMOTIONS))):
                if len(part) >= 30:
                    error = part.std() / np.sqrt(len(part))
                    assert abs(part.mean() - 0.5) < 4 * error
