"""What is done about bad files, and how it is told."""

import json
import re
import shutil
from itertools import chain, groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import DumpResults
from torch.utils.data import DataLoader

from micacl_mm.hooks import SafeDataHook, safe_data_hook
from micacl_mm.hooks.bad_files import BadFileError, BadFileList
from micacl_mm.hooks.clip_fetcher import STAND_IN

from . import noise
from .fetching import fetch, labels, pixels


def test_raise_names_clip_and_file(spoilt, tmp_path):
    folder, (bad, *_) = spoilt
    for options in ({}, dict(num_workers=1, persistent_workers=True)):
        with pytest.raises(
            BadFileError, match=r'clip .*clip01 \(class b\).*00\d.jpg is empty'
        ):
            fetch(noise.build(folder), [[0, bad]], tmp_path, **options)


def test_skip_makes_batches_smaller(spoilt, tmp_path):
    folder, (one, other, _) = spoilt
    (batches,), fetcher = fetch(
        noise.build(folder),
        [[0, one, 2], [other, one], [3]],
        tmp_path,
        'skip',
        epochs=1,
    )
    assert [labels(b) for b in batches] == [[0, 2], [2], [0]]
    assert fetcher.report() == (6, {'b': 2, 'c': 1})
    assert fetcher.report() == (0, {})


def test_resample_takes_the_same_class_by_the_seed(spoilt, tmp_path):
    folder, bad = spoilt
    batches = [[index, 0] for index in bad]
    expected, fetcher = fetch(
        noise.build(folder), batches, tmp_path, 'resample'
    )
    for epoch in expected:
        assert [labels(b) for b in epoch] == [[1, 0], [2, 0], [0, 0]]
    assert fetcher.report() == (12, {'a': 2, 'b': 2, 'c': 2})
    found, _ = fetch(
        noise.build(folder), batches, tmp_path, 'resample', num_workers=2
    )
    assert all(map(torch.equal, pixels(found), pixels(expected)))


def test_a_class_without_a_good_clip_is_replaced_by_others(tmp_path):
    clips = noise.draw(tmp_path)
    for clip in clips[::3]:
        shutil.rmtree(clip)
    ((batch,),), fetcher = fetch(
        noise.build(tmp_path), [[0]], tmp_path, 'resample', epochs=1
    )
    assert labels(batch)[0] in (1, 2) and fetcher.report() == (1, {'a': 1})


@pytest.mark.parametrize('policy', ['skip', 'resample'])
def test_data_that_are_gone_end_the_training(tmp_path, policy):
    for clip in noise.draw(tmp_path):
        shutil.rmtree(clip)
    with pytest.raises(BadFileError, match='none of 100 clips'):
        fetch(noise.build(tmp_path), [[0]], tmp_path, policy)


def test_a_test_keeps_the_places_of_clips(spoilt, tmp_path):
    folder, bad = spoilt
    dataset = noise.build(folder, noise.TEST, test_mode=True)
    batches = [list(range(9)), list(range(9, 18))]
    (found,), _ = fetch(
        dataset, batches, tmp_path, 'skip', mode='test', epochs=1
    )
    samples = list(chain.from_iterable(found))
    stand_ins = [
        index
        for index, sample in enumerate(samples)
        if sample['data_samples'].get(STAND_IN)
    ]
    assert len(samples) == 18 and stand_ins == bad


def clip_of(row):
    return row['clip']


def run(folder, work_dir, policy, **kwargs):
    hook = dict(type='SafeDataHook', bad_data=policy)
    runner = noise.make_runner(folder, work_dir, hook, **kwargs)
    runner.train()
    return runner


@pytest.mark.parametrize('policy', ['skip', 'resample'])
def test_a_training_goes_on_and_reports(spoilt, tmp_path, policy):
    folder, bad = spoilt
    runner = run(folder, tmp_path / 'run', policy, epochs=2)
    assert runner.epoch == 2 and runner.iter == 10
    told = runner.message_hub.log_scalars
    assert told['val/acc/missing_clips'].data[0].tolist() == [3, 3]
    metric = runner.val_loop.evaluator.metrics[0]
    assert metric.missing == 3 and metric.matrix.sum() == 15
    path = tmp_path / 'run' / 'bad_files.jsonl'
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # All four frames of each clip, drawn or not.
    assert [len(list(g)) for _, g in groupby(rows, key=clip_of)] == [4] * 3
    reasons = {row['clip'][-6:]: row['reason'] for row in rows}
    assert reasons == {
        'clip01': 'is empty',
        'clip05': 'is missing',
        'clip09': 'is cut off: it has no end',
    }
    assert len({row['path'] for row in rows}) == len(rows)
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert '15 of 18 clips were evaluated' in log
    verb = 'left out' if policy == 'skip' else 'replaced by others'
    words = r'(\w+), epoch (\d): 3 of 18 clips .* \(1 a, 1 b, 1 c\)'
    told = ['train 1', 'val 1', 'train 2', 'val 2']
    assert list(map(' '.join, re.findall(words, log))) == told
    assert verb in log
    assert log.count('bad file: ') == len(rows)
    # A resumed training does not begin the list anew.
    before = path.read_text()
    run(folder, tmp_path / 'run', policy, epochs=3, resume=True)
    assert path.read_text().startswith(before)
    # One that begins anew does.
    path.write_text(before + json.dumps(dict(path='mended.jpg')))
    files = BadFileList(str(tmp_path / 'run'), 0)
    hook = SafeDataHook(bad_data=policy)
    fresh = noise.make_runner(folder, tmp_path / 'run', hook, epochs=1)
    fresh._train_loop = fresh.build_train_loop(fresh._train_loop)
    hook.before_train(fresh)
    assert files.known and files.read() == []
    hook._fetchers['train']([bad[0], 0])
    hook.after_train(fresh)
    assert {row['clip'] for row in files.read()} == {rows[0]['clip']}


def test_a_test_says_that_clips_are_missing(spoilt, tmp_path):
    folder, bad = spoilt
    hook = dict(type='SafeDataHook', bad_data='skip')
    runner = noise.make_runner(
        folder, tmp_path / 'run', hook, dict(type='ResultHook')
    )
    runner.test()
    (path,) = (tmp_path / 'run').glob('*/result.json')
    record = json.loads(path.read_text())
    assert record['missing'] == len(bad) and record['clips'] == 15
    assert record['metrics']['acc/missing_clips'] == 3
    assert record['clips_per_class'] == [5, 5, 5]
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert '15 of 18 clips were evaluated' in log
    assert 'test, epoch 0: 3 of 18 clips drawn could not be read' in log


def test_metrics_that_would_count_stand_ins_are_refused(clips, tmp_path):
    with pytest.raises(ValueError, match='AccMetric would count clips'):
        run(clips, tmp_path, 'skip', metric='AccMetric', epochs=1)


def test_scores_of_stand_ins_are_not_stored(clips, tmp_path):
    scores = DumpResults(str(tmp_path / 'scores.pkl'))
    for policy in ('raise', 'skip', 'resample'):
        hook = SafeDataHook(bad_data=policy)
        runner = noise.make_runner(clips, tmp_path)
        runner.test_loop.evaluator.metrics.append(scores)
        if policy == 'raise':
            hook.before_test(runner)
            continue
        with pytest.raises(ValueError, match=f"--dump.*with '{policy}'"):
            hook.before_test(runner)


def test_loaders_without_batches_are_left_alone(clips, tmp_path):
    hook = SafeDataHook(bad_data='skip')
    runner = noise.make_runner(clips, tmp_path)
    dataset = noise.build(clips)
    runner._train_dataloader = DataLoader(dataset, batch_size=None)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    hook.after_train_epoch(runner)
    hook.after_train(runner)
    assert not hasattr(dataset, '__getitems__')
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'the train loader makes no batches' in log


def test_ranks_keep_their_batches_of_one_size(clips, tmp_path, monkeypatch):
    hook = SafeDataHook(bad_data='skip')
    runner = noise.make_runner(clips, tmp_path)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    monkeypatch.setattr(safe_data_hook, 'get_world_size', lambda: 2)
    hook.before_train(runner)
    assert hook._fetchers['train'].settings.policy == 'resample'


def test_a_wrong_policy_is_refused():
    with pytest.raises(ValueError, match="'ignore'"):
        SafeDataHook(bad_data='ignore')


@pytest.mark.parametrize('policy', ['raise', 'skip', 'resample'])
def test_five_percent_of_the_clips(tmp_path, policy):
    clips = noise.draw(tmp_path / 'data', 60)
    planted = {
        str(clips[7] / '001.jpg'): b'',
        str(clips[31] / '003.jpg'): b'no picture',
        str(clips[44] / '000.jpg'): cv2.imencode(
            '.jpg', np.zeros((9, 9, 3), np.uint8)
        )[1].tobytes(),
    }
    for path, content in planted.items():
        Path(path).write_bytes(content)
    sample = dict(type='SampleFrames', clip_len=4, num_clips=1)
    for pipeline in (noise.TRAIN, noise.TEST):
        dataset = noise.build(tmp_path / 'data', [sample, *pipeline[1:]])
        batches = [list(range(i, i + 10)) for i in range(0, 60, 10)]
        mode = 'train' if pipeline is noise.TRAIN else 'test'
        if policy == 'raise':
            with pytest.raises(BadFileError, match='clip07.*is empty'):
                fetch(dataset, batches, tmp_path, policy, mode)
            continue
        (found,), fetcher = fetch(
            dataset, batches, tmp_path, policy, mode, epochs=1
        )
        gone = 3 if (policy, mode) == ('skip', 'train') else 0
        assert sum(map(len, found)) == 60 - gone
        assert fetcher.report() == (60, {'b': 2, 'c': 1})
        fetcher.bad_files.join()
        told = [row['path'] for row in fetcher.bad_files.read()]
        assert sorted(told) == sorted(planted)
