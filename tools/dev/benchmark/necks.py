"""GEIIM and WIAN against plain Python loops, and their growth with M."""

import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from micacl_mm.models.bag import Bag
from micacl_mm.models.necks import GEIIM, WIAN

from .figure import Figure, time_figure
from .options import Options
from .plain_necks import plain_geiim, plain_wian
from .timing import compare, exponent, time_in_turn

INSTANCES = (4, 7, 16, 64, 256)
CHANNELS, VIDEOS = 512, 4
#: The loops are not timed for more instances than these.
LOOPS = 64


def make_neck(kind: str, size: int, channels: int = CHANNELS) -> nn.Module:
    """Build a neck whose every parameter matters, unlike at its start."""
    torch.manual_seed(0)
    if kind == 'GEIIM':
        neck = GEIIM(channels, size, zero_init=False)
        nn.init.normal_(neck.score.weight, std=channels**-0.5)
    else:
        neck = WIAN(channels, 2 * channels, size)
        nn.init.ones_(neck.gain)
    return neck


def outputs(neck: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Features and, of GEIIM, weights of the bags."""
    bag = neck.process(Bag(x))
    if isinstance(neck, GEIIM):
        return tuple(bag)
    return (bag.features.squeeze(1),)


def plain_outputs(neck: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """The same by loops."""
    if isinstance(neck, GEIIM):
        return plain_geiim(neck, x)
    return (plain_wian(neck, x),)


def _step(function: Callable, neck: nn.Module, x: Tensor) -> None:
    neck.zero_grad()
    function(neck, x)[0].sum().backward()


def check_equal(neck: nn.Module, x: Tensor) -> None:
    """Refuse to time two things that do not compute the same.

    Raises:
        AssertionError: The outputs differ.
    """
    pairs = zip(outputs(neck, x), plain_outputs(neck, x), strict=True)
    for ours, other in pairs:
        torch.testing.assert_close(ours, other, rtol=1e-3, atol=1e-4)


def measure(options: Options) -> list[Figure]:
    """Measure forward and backward of both necks at several M."""
    sizes = INSTANCES[:3] if options.quick else INSTANCES
    found = []
    for kind in ('GEIIM', 'WIAN'):
        figures = [_measure(kind, size, options) for size in sizes]
        compared = [f for f in figures if f.other is not None]
        plain = exponent(
            [f.case['M'] for f in compared[-3:]],
            [f.other for f in compared[-3:]],
        )
        ours = exponent(sizes[-3:], [f.ours for f in figures[-3:]])
        found += figures
        found.append(
            Figure(
                dict(neck=kind, M=f'{sizes[-3]} to {sizes[-1]}'),
                'exponent of time',
                ours,
                than='M^k, fitted',
                unit='exponent',
                note=f'of the loops, to M={compared[-1].case["M"]}: '
                f'{plain:.2f}',
            )
        )
    return found


def _measure(kind: str, size: int, options: Options) -> Figure:
    neck = make_neck(kind, size, CHANNELS).to(options.device)
    x = torch.randn(VIDEOS, size, CHANNELS, device=options.device)
    case = dict(neck=kind, M=size)
    functions = [outputs, plain_outputs][: 2 if size <= LOOPS else 1]
    if size <= 16:  # equal code at all sizes, and the loops take their time
        check_equal(neck, x)
    times = time_in_turn(
        [partial(_step, function, neck, x) for function in functions],
        warmup=1 if size < LOOPS else 0,
        longest=8,
        device=options.device,
    )
    if len(times) == 2:
        return time_figure(case, compare(*times), 'loops')
    return Figure(
        case,
        'time',
        ours=statistics.median(times[0]),
        rounds=len(times[0]),
        note='the loops would take a minute',
    )
