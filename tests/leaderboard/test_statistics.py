import numpy as np
import pytest
from scipy import stats

from micacl_mm.leaderboard.statistics import (
    differences,
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
def test_one_difference_is_students(counts, level):
    draw = np.random.default_rng(3)
    first, second = (draw.normal(60, 3, count) for count in counts)
    (found,) = differences(interval(first), [interval(second)], level)
    test = stats.ttest_ind(second, first)
    low, high = test.confidence_interval(level)
    assert found.value - found.half_width == pytest.approx(low)
    assert found.value + found.half_width == pytest.approx(high)
    assert found.shown == (test.pvalue < 1 - level)


def test_differences_hold_all_at_once():
    draw = np.random.default_rng(0).normal(size=(500, 6, 3))
    hits = []
    for groups in draw:
        first, *others = map(interval, groups)
        hits.append(not any(d.shown for d in differences(first, others)))
    # At least the level; less than four standard errors below it.
    assert 0.95 - 0.039 < np.mean(hits) < 1


def test_differences_without_spread():
    alone = interval([2.0]), interval([3.5])
    (found,) = differences(alone[0], alone[1:])
    assert found == (1.5, None) and not found.shown
    assert differences(alone[0], []) == []
    # The spread of the one is taken for both.
    (found,) = differences(interval([1, 2, 3]), [interval([9])])
    assert found.value == 7 and found.half_width == pytest.approx(
        stats.t.ppf(0.975, 2) * (1 + 1 / 3) ** 0.5
    )
