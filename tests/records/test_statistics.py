import numpy as np
import pytest
from scipy import stats

from micacl_mm.records.statistics import (
    difference,
    interval,
    pool,
    replicates,
)


def test_interval_by_hand():
    # t(0.975, 2 degrees of freedom) is 4.303 in every table.
    found = interval([1, 2, 3])
    assert found.mean == 2 and found.std == 1 and found.count == 3
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, abs=1e-6)


@pytest.mark.parametrize('level', [0.9, 0.95])
@pytest.mark.parametrize('count', [2, 3, 5, 30])
def test_interval_is_scipys(count, level):
    values = np.random.default_rng(count).normal(60, 3, count)
    found = interval(values, level)
    assert found.std == pytest.approx(values.std(ddof=1))
    low, high = stats.t.interval(
        level, count - 1, loc=values.mean(), scale=stats.sem(values)
    )
    assert found.mean - found.half_width == pytest.approx(low)
    assert found.mean + found.half_width == pytest.approx(high)


def test_interval_holds_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(1000, 5))
    hits = [abs(i.mean) <= i.half_width for i in map(interval, draws)]
    # Four standard errors of a share of 1,000.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.028)


def test_one_value_has_no_interval():
    assert interval([0.5]) == (0.5, None, None, 1)


@pytest.mark.parametrize('values', [[], [1, float('nan')], [float('inf')]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(ValueError, match='finite number, got'):
        interval(values)


@pytest.mark.parametrize('level', [0, 1, 95])
def test_levels_are_shares(level):
    with pytest.raises(ValueError, match='between 0 and 1, got'):
        interval([1, 2], level)


def test_folds_are_averaged_over_their_seeds():
    runs = [(1, 0, 10), (2, 0, 30), (1, 1, 20), (2, 1, 50), (3, 0, 7)]
    assert replicates(runs) == [15, 40, 7]


@pytest.mark.parametrize('fold', [None, 4])
def test_seeds_count_where_there_is_one_fold(fold):
    runs = [(fold, 2, 30), (fold, 0, 10), (fold, 1, 20)]
    assert replicates(runs) == [10, 20, 30]
    assert replicates(runs[:1]) == [30]
    assert replicates([]) == []


def test_pooled_matrix():
    a, b = np.random.default_rng(0).integers(0, 9, (2, 3, 3))
    assert (pool([a.tolist(), b.tolist()]) == a + b).all()
    with pytest.raises(ValueError, match='of one size'):
        pool([a, b[:2, :2]])
    with pytest.raises(ValueError, match='of one size'):
        pool([])


@pytest.mark.parametrize('level', [0.9, 0.95])
@pytest.mark.parametrize('counts', [(3, 3), (2, 5)])
def test_difference_is_welchs(counts, level):
    draw = np.random.default_rng(3)
    first = draw.normal(60, 3, counts[0])
    second = draw.normal(66, 1, counts[1])
    found = difference(interval(first), interval(second), level)
    test = stats.ttest_ind(second, first, equal_var=False)
    low, high = test.confidence_interval(level)
    assert found.value - found.half_width == pytest.approx(low)
    assert found.value + found.half_width == pytest.approx(high)
    assert found.significant == (test.pvalue < 1 - level)


@pytest.mark.parametrize('spread', [1, 3])
def test_no_difference_is_shown_as_seldom_as_it_says(spread):
    draw = np.random.default_rng(0).normal(size=(1000, 2, 3))
    draw[:, 1] *= spread
    shown = [difference(*map(interval, pair)).significant for pair in draw]
    # Four standard errors of a share of 1,000; Welch's is careful.
    assert 0 < np.mean(shown) < 0.05 + 0.028


def test_difference_without_spread():
    alone = difference(interval([2.0]), interval([3.5]))
    assert alone == (1.5, None) and not alone.significant
    same = difference(interval([1, 1]), interval([3, 3]))
    assert same == (2, 0) and same.significant
    found = difference(interval([1, 1]), interval([1, 1]))
    assert not found.significant
