"""Times of several functions, taken in turn."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """Time of one function over that of another."""

    #: Median of the ratios of the rounds.
    ratio: float
    #: Quartiles of these ratios: half of all rounds lie between them.
    spread: tuple[float, float]
    #: Median seconds of one call of either.
    seconds: tuple[float, float]
    rounds: int


def wait_for(device: str) -> None:
    """Let a GPU come to the end of what it was given; nothing on the CPU."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def seconds_of(
    function: Callable[[], object], device: str = 'cpu', calls: int = 1
) -> float:
    """Seconds of one call, the mean of ``calls`` of them in a row."""
    wait_for(device)
    start = time.perf_counter()
    for _ in range(calls):
        function()
    wait_for(device)
    return (time.perf_counter() - start) / calls


def time_in_turn(
    functions: Sequence[Callable[[], object]],
    *,
    rounds: int = 7,
    fewest: int = 1,
    warmup: int = 1,
    shortest: float = 0.02,
    longest: float = 60.0,
    device: str = 'cpu',
) -> list[list[float]]:
    """Time functions in turn, A, B, A, B, ..., so that all share the weather.

    Args:
        functions (Sequence[Callable]): Called without arguments.
        rounds (int): Times each is timed, at least 1. Defaults to 7.
        fewest (int): Of them that are made however long they take. Defaults
            to 1.
        warmup (int): Calls of each before that. Defaults to 1.
        shortest (float): A function that takes fewer seconds is called
            several times a round. Defaults to 0.02.
        longest (float): No new round begins after so many seconds.
            Defaults to 60.
        device (str): Waited for before and behind. Defaults to ``'cpu'``.

    Returns:
        list[list[float]]: seconds of one call, a list for each function, a
        number a round.

    Raises:
        ValueError: No function, or ``rounds`` below 1.
    """
    if not functions or rounds < 1:
        raise ValueError(
            'time_in_turn: needs a function and at least 1 round, got '
            f'{len(functions)} functions and rounds={rounds}'
        )
    for _ in range(warmup):
        for function in functions:
            seconds_of(function, device)
    times: list[list[float]] = [[] for _ in functions]
    calls = [1] * len(functions)
    start = time.perf_counter()
    for done in range(rounds):
        for i, function in enumerate(functions):
            times[i].append(seconds_of(function, device, calls[i]))
        if done == 0:
            calls = [max(1, round(shortest / t[0])) for t in times]
        if done + 1 >= fewest and time.perf_counter() - start > longest:
            break
    return times


def compare(ours: Sequence[float], other: Sequence[float]) -> Ratio:
    """Compare two lists of :func:`time_in_turn`, round by round.

    Raises:
        ValueError: They are empty or not equally long.
    """
    if not ours or len(ours) != len(other):
        raise ValueError(
            'compare: needs as many times of one as of the other, got '
            f'{len(ours)} and {len(other)}'
        )
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    low, high = ratios[0], ratios[0]
    if len(ratios) > 1:
        low, _, high = statistics.quantiles(ratios, method='inclusive')
    seconds = statistics.median(ours), statistics.median(other)
    return Ratio(statistics.median(ratios), (low, high), seconds, len(ratios))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    r"""Fit :math:`v = c\,n^k` by least squares of the logarithms; return k.

    Raises:
        ValueError: Fewer than two sizes, or a value that is not positive.
    """
    if len(sizes) < 2 or min(values) <= 0:
        raise ValueError(
            'exponent: needs two sizes or more and positive values, got '
            f'{list(sizes)} and {list(values)}'
        )
    x = torch.tensor(sizes, dtype=torch.double).log()
    y = torch.tensor(values, dtype=torch.double).log()
    x = x - x.mean()
    return float((x @ y) / (x @ x))
