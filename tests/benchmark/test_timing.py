import time

import pytest
import torch

from tools.dev.benchmark.timing import (
    compare,
    exponent,
    seconds_of,
    time_in_turn,
)


def test_functions_are_called_in_turn_after_a_warm_up():
    calls = []
    times = time_in_turn(
        [lambda: calls.append('a'), lambda: calls.append('b')],
        rounds=3,
        warmup=2,
        shortest=0.0,
    )
    assert calls == ['a', 'b'] * 5
    assert [len(t) for t in times] == [3, 3]


def test_short_functions_are_called_several_times_a_round():
    calls = []
    time_in_turn([lambda: calls.append(0)], rounds=2, shortest=0.001)
    assert len(calls) > 10


def test_no_round_begins_after_the_longest_time():
    (times,) = time_in_turn([lambda: None], rounds=50, longest=-1.0)
    assert len(times) == 1


def test_seconds_are_those_of_one_call():
    found = seconds_of(lambda: time.sleep(0.02), calls=3)
    assert found >= 0.02  # sleep never returns early


def test_a_ratio_is_taken_round_by_round():
    # The machine is twice as slow in the second half: the ratio stays.
    other = [1.0, 1.0, 2.0, 2.0, 2.0]
    found = compare([0.5 * t for t in other], other)
    assert found.ratio == 0.5 and found.spread == (0.5, 0.5)
    assert found.seconds == (1.0, 2.0) and found.rounds == 5
    skewed = compare([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
    assert skewed.ratio == 3 and skewed.spread == (2, 4)
    assert compare([3.0], [2.0]).spread == (1.5, 1.5)


@pytest.mark.parametrize('power', [0.0, 1.0, 2.5])
def test_exponent_of_a_power_law(power):
    sizes = [3, 10, 50]
    found = exponent(sizes, [7 * n**power for n in sizes])
    assert found == pytest.approx(power, abs=1e-9)


def test_exponent_is_the_least_squares_slope():
    x, y = torch.rand(9) * 90 + 1, torch.rand(9) + 0.1
    design = torch.stack([x.log(), torch.ones(9)], 1).double()
    slope = torch.linalg.lstsq(design, y.log().double()[:, None]).solution[0]
    found = exponent(x.tolist(), y.tolist())
    assert found == pytest.approx(slope.item(), abs=1e-5)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='rounds=0'):
        time_in_turn([print], rounds=0)
    with pytest.raises(ValueError, match='0 functions'):
        time_in_turn([])
    with pytest.raises(ValueError, match='2 and 1'):
        compare([1, 2], [1])
    with pytest.raises(ValueError, match='two sizes'):
        exponent([1], [1])
    with pytest.raises(ValueError, match='positive'):
        exponent([1, 2], [1, 0])
