import math

import pytest
import torch
from mmaction.evaluation import AccMetric

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


def test_equals_scikit_learn():
    metrics = pytest.importorskip('sklearn.metrics')
    truth = torch.randint(5, (200,)).tolist()
    guess = torch.randint(5, (200,)).tolist()
    found = evaluate(RecallMetric(classes='abcde'), truth, guess, 5)
    expected = metrics.balanced_accuracy_score(truth, guess)
    assert found['acc/UAR'] == pytest.approx(expected)
    expected = metrics.accuracy_score(truth, guess)
    assert found['acc/WAR'] == pytest.approx(expected)
    recalls = metrics.recall_score(truth, guess, average=None)
    for name, recall in zip('abcde', recalls, strict=True):
        assert found[f'acc/recall/{name}'] == pytest.approx(recall)


def test_equals_the_stock_metric_where_all_classes_occur():
    truth, guess = [0, 0, 1, 2, 2], [0, 1, 1, 2, 0]
    ours = evaluate(RecallMetric(), truth, guess, 3)
    stock = AccMetric(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
    stock = evaluate(stock, truth, guess, 3)
    assert ours['acc/UAR'] == pytest.approx(stock['acc/mean1'])
    assert ours['acc/WAR'] == pytest.approx(stock['acc/top1'])


def test_absent_class_does_not_count_as_zero():
    metric = RecallMetric(classes=['a', 'b', 'c'])
    found = evaluate(metric, [0, 0, 1], [0, 2, 1], 3)
    assert found['acc/UAR'] == pytest.approx(0.75)
    assert math.isnan(found['acc/recall/c'])
    assert metric.matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_classes_come_from_the_dataset():
    metric = RecallMetric()
    metric.dataset_meta = dict(classes=('x', 'y'))
    assert 'acc/recall/y' in evaluate(metric, [0, 1], [0, 1], 2)


def test_class_names_that_do_not_fit_are_refused():
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


def test_stand_ins_are_not_counted():
    metric = RecallMetric(classes='ab')
    samples = outputs([0, 0, 1, 1], [0, 1, 1, 0], 2)
    for index in (1, 2):
        samples[index]['stand_in'] = True
    metric.process(None, samples)
    found = metric.evaluate(4)
    assert metric.matrix.tolist() == [[1, 0], [1, 0]] and metric.missing == 2
    assert found['acc/missing_clips'] == 2
    assert found['acc/recall/a'] == 1 and found['acc/recall/b'] == 0
    # The next evaluation knows nothing of them.
    found = evaluate(metric, [0, 1], [0, 1], 2)
    assert 'acc/missing_clips' not in found and metric.missing == 0


def test_a_class_of_stand_ins_alone_is_absent():
    metric = RecallMetric(classes='ab')
    samples = outputs([0, 1], [0, 1], 2)
    samples[1]['stand_in'] = True
    metric.process(None, samples)
    found = metric.evaluate(2)
    assert found['acc/UAR'] == 1 and math.isnan(found['acc/recall/b'])


def test_clips_that_never_came_are_missing():
    metric = RecallMetric()
    metric.process(None, outputs([0, 1, 1], [0, 1, 0], 2))
    found = metric.evaluate(5)  # drop_last at a test
    assert found['acc/missing_clips'] == 2 and metric.matrix.sum() == 3


def test_nothing_but_stand_ins_is_an_error():
    metric = RecallMetric()
    (sample,) = outputs([0], [0], 1)
    metric.process(None, [dict(sample, stand_in=True)])
    with pytest.raises(ValueError, match='none of 1 clips'):
        metric.evaluate(1)
