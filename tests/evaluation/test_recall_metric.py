import math

import pytest
import torch
from mmaction.evaluation import AccMetric
from sklearn import metrics as sklearn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from micacl_mm.evaluation import RecallMetric


def outputs(truth, guess, classes):
    scores = torch.nn.functional.one_hot(torch.tensor(guess), classes).float()
    return [
        dict(pred_score=score, gt_label=torch.tensor([label]))
        for score, label in zip(scores, truth, strict=True)
    ]


def evaluate(metric, truth, guess, classes):
    metric.process(None, outputs(truth, guess, classes))
    return metric.evaluate(len(truth))


@pytest.mark.parametrize('never', [None, 0, 4], ids=str)
def test_equals_scikit_learn(never):
    """Also where a class is never predicted."""
    truth = torch.randint(5, (200,)).tolist()
    guess = torch.randint(5, (200,)).tolist()
    guess = [(g + (g == never)) % 5 for g in guess]
    metric = RecallMetric(classes='abcde')
    found = evaluate(metric, truth, guess, 5)
    for name, expected in (
        ('UAR', sklearn.balanced_accuracy_score(truth, guess)),
        ('WAR', sklearn.accuracy_score(truth, guess)),
        ('F1', sklearn.f1_score(truth, guess, average='macro')),
    ):
        assert found[f'acc/{name}'] == pytest.approx(expected)
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
        truth, guess, zero_division=float('nan')
    )
    scores = metric.per_class(metric.matrix)
    for ours, theirs in zip(scores, (recall, precision, f1), strict=True):
        assert ours.tolist() == pytest.approx(theirs.tolist(), nan_ok=True)
    for name, value in zip('abcde', recall, strict=True):
        assert found[f'acc/recall/{name}'] == pytest.approx(value)


def test_equals_the_stock_metric_where_all_classes_occur():
    truth, guess = [0, 0, 1, 2, 2], [0, 1, 1, 2, 0]
    ours = evaluate(RecallMetric(), truth, guess, 3)
    stock = AccMetric(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
    stock = evaluate(stock, truth, guess, 3)
    assert ours['acc/UAR'] == pytest.approx(stock['acc/mean1'])
    assert ours['acc/WAR'] == pytest.approx(stock['acc/top1'])


def test_absent_class_does_not_count_as_zero():
    metric = RecallMetric(classes=['a', 'b', 'c', 'd'])
    found = evaluate(metric, [0, 0, 1], [0, 2, 1], 4)
    assert found['acc/UAR'] == pytest.approx(0.75)
    # In the mean of F1 c counts, which is predicted; d does not.
    f1 = sklearn.f1_score([0, 0, 1], [0, 2, 1], average='macro')
    assert found['acc/F1'] == pytest.approx(f1)
    assert math.isnan(found['acc/recall/c'])
    assert metric.matrix[:3, :3].tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_classes_come_from_the_dataset():
    metric = RecallMetric()
    metric.dataset_meta = dict(classes=('x', 'y'))
    assert 'acc/recall/y' in evaluate(metric, [0, 1], [0, 1], 2)
    with pytest.raises(ValueError, match='2 names for 3 classes'):
        evaluate(RecallMetric(classes='ab'), [0, 1], [0, 1], 3)


def test_scores_that_are_not_finite_are_refused():
    sample = dict(
        pred_score=torch.tensor([float('nan'), 0]), gt_label=torch.tensor([0])
    )
    metric = RecallMetric()
    metric.process(None, [sample])
    with pytest.raises(ValueError, match='diverged'):
        metric.evaluate(1)


def test_unreadable_clips_are_missing():
    metric = RecallMetric(classes='ab')
    samples = outputs([0, 0, 1, 1], [0, 1, 1, 0], 2)
    for index in (1, 2):
        samples[index]['stand_in'] = True
    metric.process(None, samples)
    found = metric.evaluate(4)
    assert metric.matrix.tolist() == [[1, 0], [1, 0]] and metric.missing == 2
    assert found['acc/missing_clips'] == 2
    assert found['acc/recall/a'] == 1 and found['acc/recall/b'] == 0
    # A class of which no clip is left is absent.
    samples = outputs([0, 1], [0, 1], 2)
    samples[1]['stand_in'] = True
    metric.process(None, samples)
    found = metric.evaluate(2)
    assert found['acc/UAR'] == 1 and math.isnan(found['acc/recall/b'])
    # The next evaluation knows nothing of them.
    found = evaluate(metric, [0, 1], [0, 1], 2)
    assert 'acc/missing_clips' not in found and metric.missing == 0
    metric.process(None, [dict(samples[1])])
    with pytest.raises(ValueError, match='none of 1 clips'):
        metric.evaluate(1)


def test_clips_that_never_came_are_missing():
    metric = RecallMetric()
    metric.process(None, outputs([0, 1, 1], [0, 1, 0], 2))
    found = metric.evaluate(5)  # drop_last at a test
    assert found['acc/missing_clips'] == 2 and metric.matrix.sum() == 3


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a GPU."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        name = function.name()
        self.count += name == 'aten::_local_scalar_dense' or (
            name == 'aten::_to_copy'
            and args[0].device.type == 'cuda'
            and found.device.type == 'cpu'
        )
        return found


def test_waits_for_the_device_once_a_test_and_not_once_a_clip(monkeypatch):
    found = []
    for clips in (3, 30):
        metric = RecallMetric()
        monkeypatch.setattr(metric, 'compute_metrics', lambda _: {})
        with FakeTensorMode(), Waits() as waits:
            for _ in range(clips):
                sample = dict(
                    pred_score=torch.rand(7, device='cuda'),
                    gt_label=torch.zeros(1, dtype=int, device='cuda'),
                )
                metric.process(None, [sample])
            assert waits.count == 0
            metric.evaluate(clips)
        found.append(waits.count)
    assert found[0] == found[1] == 3
