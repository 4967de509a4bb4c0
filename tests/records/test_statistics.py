import numpy as np
import pytest
from scipy import stats

from micacl_mm.records.statistics import difference, interval, replicates


def test_interval_by_hand():
    # t(0.975, 2 degrees of freedom) is 4.303 in every table.
    found = interval([1, 2, 3])
    assert found.mean == 2 and found.std == 1 and found.count == 3
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, abs=1e-6)
    assert interval([0.5]) == (0.5, None, None, 1)


@pytest.mark.parametrize('count', [2, 3, 30])
def test_interval_is_scipys(count):
    values = np.random.default_rng(count).normal(60, 3, count)
    found = interval(values)
    assert found.std == pytest.approx(values.std(ddof=1))
    ends = stats.t.interval(
        0.95, count - 1, loc=values.mean(), scale=stats.sem(values)
    )
    width = found.half_width
    assert (found.mean - width, found.mean + width) == pytest.approx(ends)


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
