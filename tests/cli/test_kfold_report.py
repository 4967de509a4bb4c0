"""What kfold says in the end."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    recall_score,
)

from micacl_mm.cli.kfold.report import format_summary, summarise
from micacl_mm.cli.kfold.run import differences
from micacl_mm.cli.kfold.sweep import Progress, clock


def records(shape, classes=3):
    """Random confusion matrices of folds x seeds."""
    random = np.random.default_rng(0)
    found = []
    for fold in range(1, shape[0] + 1):
        for seed in range(shape[1]):
            matrix = random.integers(1, 30, (classes, classes))
            recalls = matrix.diagonal() / matrix.sum(1)
            names = list('abcdefg'[:classes])
            metrics = {
                'acc/UAR': recalls.mean(),
                'acc/WAR': matrix.trace() / matrix.sum(),
            }
            for name, recall in zip(names, recalls, strict=True):
                metrics[f'acc/recall/{name}'] = recall
            found.append(
                dict(
                    **dict.fromkeys(('config_hash', 'pretraining'), 'x'),
                    **dict(method='m', dataset='dfew', selection='val'),
                    **dict(fold=fold, seed=seed, epoch=3, classes=names),
                    **dict(metrics=metrics, confusion_matrix=matrix.tolist()),
                )
            )
    return found


@pytest.mark.parametrize('shape', [(5, 1), (5, 3), (1, 3)])
def test_summary_is_scipys_and_scikit_learns(shape):
    runs = records(shape)
    summary = summarise(runs)
    assert summary['replicates'] == ('folds' if shape[0] > 1 else 'seeds')
    for name in ('UAR', 'WAR', 'recall/b'):
        values = [run['metrics'][f'acc/{name}'] for run in runs]
        values = np.reshape(values, shape)
        values = values.mean(1) if shape[0] > 1 else values[0]
        found = summary['metrics'][name]
        assert found['mean'] == pytest.approx(values.mean())
        assert found['std'] == pytest.approx(values.std(ddof=1))
        low, _ = stats.t.interval(
            *(0.95, len(values) - 1, values.mean(), stats.sem(values))
        )
        half = values.mean() - low
        assert found['half_width'] == pytest.approx(half)
    matrix = sum(np.array(run['confusion_matrix']) for run in runs)
    cells = np.repeat(np.arange(9), matrix.ravel())
    truth, predicted = cells // 3, cells % 3
    pooled = summary['pooled']
    uar = balanced_accuracy_score(truth, predicted)
    assert pooled['UAR'] == pytest.approx(uar)
    assert pooled['WAR'] == pytest.approx(accuracy_score(truth, predicted))
    recalls = recall_score(truth, predicted, average=None)
    assert pooled['recall/c'] == pytest.approx(recalls[2])
    json.dumps(summary, allow_nan=False)


def test_text_of_a_summary():
    text = format_summary(summarise(records((2, 1))))
    assert 'over 2 folds' in text and 'too narrow' in text
    runs = records((1, 1))
    # A class that no test split holds.
    runs[0]['metrics']['acc/recall/c'] = None
    runs[0]['confusion_matrix'][2] = [0, 0, 0]
    text = format_summary(summarise(runs))
    assert 'One run has no interval' in text and 'too narrow' not in text
    uar = f'{100 * runs[0]["metrics"]["acc/UAR"]:.2f}'
    assert text.splitlines()[0] == 'm on dfew' and 'left out' not in text
    assert text.splitlines()[2].split()[:4] == ['1', '0', '3', uar]
    absent = next(line for line in text.splitlines() if 'recall/c' in line)
    assert absent.split() == ['recall/c', '-', '-', '+-', '-', '-']


def test_differences():
    old = dict(a=dict(b=[1, dict(c=2)]))
    assert differences(old, dict(a=dict(b=[1, dict(c=2)]))) == []
    assert differences(old, dict(a=dict(b=[1]))) == [
        "a.b [1, {'c': 2}], now [1]"
    ]
    assert differences(old, dict(a=dict(b=[1, dict(c=3)]))) == [
        'a.b.1.c 2, now 3'
    ]
    assert differences(old, dict(a=dict(d=1))) == [
        'a.d None, now 1',
        "a.b [1, {'c': 2}], now None",
    ]


def test_dropped_clips_are_told():
    runs = [{**run, 'dropped': 2} for run in records((2, 1))]
    text = format_summary(summarise(runs))
    assert '4 clips of the test splits were left out' in text


def test_progress(monkeypatch):
    class Run:
        def __init__(self, name, share):
            self.name, self.done = name, share

        def share(self):
            return self.done

    now = [0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    half, new = Run('half', 0.5), Run('new', 0.0)
    progress = Progress([half, new])
    assert list(progress.news()) == []
    # A quarter of a training in 100 s; one and a quarter are left.
    now[0], half.done = 100, 0.75
    assert list(progress.news()) == ['half: 75% trained, about 0:08:20 left']
    half.done = 0.79
    assert list(progress.news()) == []
    now[0], new.done = 200, 0.01  # the first epoch
    assert [text[:16] for text in progress.news()] == ['new: 1% trained,']
    new.done = 0.0  # while it is written
    assert list(progress.news()) == []
    now[0] = 1000
    text = progress.finish(half)
    # 0.51 of a training in 1000 s, 0.99 are left.
    assert text == '1 of 2 done in 0:16:40, about 0:32:21 left'
    assert progress.finish(new) == '2 of 2 done in 0:16:40'


def test_clock():
    assert clock(59.6) == '0:01:00' and clock(3725) == '1:02:05'
