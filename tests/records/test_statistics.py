import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn

from micacl_mm.records.statistics import (
    difference,
    interval,
    metric_intervals,
    replicates,
)


def test_interval_by_hand():
    # t(0.975, 2 degrees of freedom) is 4.303 in every table.
    found = interval([1, 2, 3])
    assert found.mean == 2 and found.std == 1 and found.count == 3
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, abs=1e-6)
    assert interval([0.5]) == (0.5, None, None, 1)


@pytest.mark.parametrize('values', [[], [1, float('nan')], [float('inf')]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(ValueError, match='finite number, got'):
        interval(values)


def test_folds_are_averaged_over_their_seeds():
    runs = [(1, 0, 10), (2, 0, 30), (1, 1, 20), (2, 1, 50), (3, 0, 7)]
    assert replicates(runs) == [15, 40, 7]


@pytest.mark.parametrize('fold', [None, 4])
def test_seeds_count_where_there_is_one_fold(fold):
    runs = [(fold, 2, 30), (fold, 0, 10), (fold, 1, 20)]
    assert replicates(runs) == [10, 20, 30]
    assert replicates(runs[:1]) == [30]
    assert replicates([]) == []
    again = [*runs, (fold, 0, 20)]  # by other code
    assert replicates(again) == [15, 20, 30]


ORACLES = {
    'UAR': sklearn.balanced_accuracy_score,
    'WAR': sklearn.accuracy_score,
    'F1': lambda *pair: sklearn.f1_score(*pair, average='macro'),
    'recall/b': lambda *pair: sklearn.recall_score(*pair, average=None)[1],
}


@pytest.mark.parametrize('shape', [(5, 3), (1, 3)])
def test_metrics_over_folds_or_seeds_are_scipys_and_scikit_learns(shape):
    random = np.random.default_rng(0)
    matrices = random.integers(1, 30, (*shape, 3, 3))
    runs = [(fold, seed) for fold in range(shape[0]) for seed in range(3)]
    tensors = map(torch.tensor, matrices.reshape(-1, 3, 3))
    found = metric_intervals(zip(runs, tensors, strict=True), 'abc')
    for name, oracle in ORACLES.items():
        values = []
        for matrix in matrices.reshape(-1, 9):
            cells = np.repeat(np.arange(9), matrix)
            values.append(oracle(cells // 3, cells % 3))
        values = np.reshape(values, shape)
        values = values.mean(1) if shape[0] > 1 else values[0]
        low, high = stats.t.interval(
            *(0.95, len(values) - 1, values.mean(), stats.sem(values))
        )
        assert found[name].mean == pytest.approx(values.mean())
        assert found[name].std == pytest.approx(values.std(ddof=1))
        assert found[name].half_width == pytest.approx((high - low) / 2)


def test_a_class_without_clips_has_no_recall():
    matrix = torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    found = metric_intervals([((1, 0), matrix)], 'abc')
    means = {name: value.mean for name, value in found.items()}
    assert means == {
        'UAR': 0.875,
        'WAR': pytest.approx(5 / 6),
        'F1': pytest.approx((6 / 7 + 4 / 5) / 2),
        'recall/a': 0.75,
        'recall/b': 1.0,
    }


@pytest.mark.parametrize('counts', [(3, 3), (2, 5)])
def test_difference_is_welchs(counts):
    draw = np.random.default_rng(3)
    first = draw.normal(60, 3, counts[0])
    second = draw.normal(66, 1, counts[1])
    value, width = difference(interval(first), interval(second))
    test = stats.ttest_ind(second, first, equal_var=False)
    found = value - width, value + width
    assert found == pytest.approx(test.confidence_interval(0.95))


def test_values_without_any_spread():
    same = interval([5, 5])
    assert difference(same, interval([7, 7])) == (2, 0)
    assert difference(same, same) == (0, 0)
