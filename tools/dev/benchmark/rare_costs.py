"""What the ways to more positives cost, in time and memory."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from micacl_mm.hooks import GradientCachingHook
from micacl_mm.models.losses import MCCLLoss
from micacl_mm.models.losses.functional import mccl

from . import memory
from .figure import Figure, memory_figure, time_figure
from .options import Options
from .rare_classes import (
    ANCHORS,
    BATCHES,
    COUNTS,
    OPTIONS,
    joint_batches,
    positive_shares,
)
from .timing import compare, time_in_turn
from .training_step import OURS, Stepper

CHANNELS = 1024


def _step_of(batch: int, option: str) -> Callable[[], object]:
    """The loss forward and backward, and what the option does besides."""
    setting = dict(OPTIONS[option])
    sampling = {
        name: setting.pop(name)
        for name in ('ranks', 'balanced', 'aware')
        if name in setting
    }
    counts = COUNTS['DFEW fold 1']
    labels = joint_batches(counts, batch, **sampling)
    if ranks := sampling.get('ranks'):
        rows = torch.randn(batch * ranks, CHANNELS)

        def step() -> None:
            keys = rows.clone().requires_grad_()
            y = torch.tensor(next(labels))
            mccl(keys[:batch], y[:batch], keys, y).backward()

        return step
    loss = MCCLLoss(
        class_counts=counts,
        in_channels=CHANNELS,
        prototypes=setting.get('prototypes', False),
        queue_size=setting.get('queue', 0),
    )
    features: Tensor = torch.randn(batch, CHANNELS)

    def step() -> None:
        z = features.clone().requires_grad_()
        loss(z, torch.tensor(next(labels))).backward()

    for _ in range(1 + setting.get('queue', 0) // batch):
        step()
    return step


def step_costs(options: Options) -> list[Figure]:
    """Time of drawing a batch and of the loss on it, against plain."""
    found = []
    for batch in BATCHES:
        times = time_in_turn(
            [_step_of(batch, option) for option in OPTIONS],
            rounds=3 if options.quick else 15,
            warmup=2,
        )
        for option, taken in zip(OPTIONS, times, strict=True):
            figure = time_figure(
                dict(B=batch, option=option),
                compare(taken, times[0]),
                'plain',
                quantity='time of sampling and loss',
            )
            found.append(figure)
    return found


def make_cached_step(
    batch: int, micro: int, width: int, size: int
) -> Callable[[], object]:
    """A training step of MICACL, its backbone in parts where micro is set."""
    stepper = Stepper(OURS, batch, width=width, size=size)
    if micro:
        runner = SimpleNamespace(model=stepper.model)
        GradientCachingHook(micro).before_train(runner)
    stepper.train()  # gradients and moments exist from here on
    return stepper.train


def caching_costs(options: Options) -> list[Figure]:
    """Time and memory of a training step with gradient caching."""
    batch, width, size = (4, 8, 32) if options.quick else (16, 32, 64)
    cases = [
        dict(batch=batch, micro=micro, width=width, size=size)
        for micro in (0, batch // 2, batch // 4)
    ]
    times = time_in_turn(
        [make_cached_step(**case) for case in cases],
        rounds=2 if options.quick else 5,
        warmup=0,
        longest=120,
    )
    peaks = memory.peaks(f'{__name__}:make_cached_step', cases)
    found = []
    for case, taken, peak in zip(cases, times, peaks, strict=True):
        case = dict(option='gradient caching') | case
        ratio, than = compare(taken, times[0]), 'the whole batch'
        time = time_figure(case, ratio, than)
        size = memory_figure(case, peak.bytes, peaks[0].bytes, than)
        found += [time, size]
    return found[2:]


def measure(options: Options) -> list[Figure]:
    """Shares and costs, as the benchmark wants them."""
    return [
        *positive_shares(200 if options.quick else ANCHORS),
        *step_costs(options),
        *caching_costs(options),
    ]
