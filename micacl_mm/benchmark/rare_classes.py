r"""How often a clip of a rare class finds a partner, and what that costs.

The real samplers run over the official train counts, without any images. The
expected share of anchors with a positive is counted beside the closed form:
the batch and the queue are drawn without replacement from the N clips of an
epoch, n of them of the class, so that an anchor with k other keys finds none
with probability :math:`\binom{N - n}{k} / \binom{N - 1}{k}`.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import comb
from types import SimpleNamespace
from typing import Any, Optional

import torch
from mmengine.dataset import DefaultSampler
from torch import Tensor

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.samplers import (
    ClassAwareBatchSampler,
    ClassBalancedSampler,
)
from micacl_mm.engine import GradientCachingHook
from micacl_mm.models.losses import MCCLLoss
from micacl_mm.models.losses.feature_queue import FeatureQueue
from micacl_mm.models.losses.functional import mccl

from . import memory
from .figure import Figure, memory_figure, time_figure
from .options import Options
from .timing import compare, time_in_turn
from .training_step import OURS, Stepper

COUNTS = {
    'DFEW fold 1': DFEWDataset.OFFICIAL_COUNTS[1]['train'],
    'FERV39k': FERV39kDataset.OFFICIAL_COUNTS['all']['train'],
}
BATCHES = (32, 64, 256)
RANKS, QUEUE, CHANNELS = 8, 1024, 1024
ANCHORS = 4000
#: Values that one setting differs in from the plain batch.
OPTIONS: dict[str, dict[str, Any]] = {
    'plain': dict(),
    f'gathered from {RANKS} ranks': dict(ranks=RANKS),
    'class-balanced sampling': dict(balanced=True),
    'class-aware batches': dict(aware=True),
    'class-balanced and -aware': dict(balanced=True, aware=True),
    'prototypes': dict(prototypes=True),
    f'queue of {QUEUE}': dict(queue=QUEUE),
}


class Labels:
    """A dataset that has nothing but its labels."""

    def __init__(self, counts: list[int]) -> None:
        self.labels = [c for c, n in enumerate(counts) for _ in range(n)]

    def __len__(self) -> int:
        return len(self.labels)

    def get_data_info(self, index: int) -> dict[str, int]:
        """As MMEngine's datasets have it."""
        return dict(label=self.labels[index])


def joint_batches(
    counts: list[int],
    batch: int,
    ranks: int = 1,
    balanced: bool = False,
    aware: bool = False,
) -> Iterator[list[int]]:
    """Iterate over the labels of joint batches, epoch after epoch.

    Of one process with the batch of all ranks: each rank's sampler takes
    every ``ranks``-th clip of the same order, so that the batches of all
    ranks together are those of one.
    """
    dataset = Labels(counts)
    kind = ClassBalancedSampler if balanced else DefaultSampler
    sampler, size = kind(dataset, seed=0), batch * ranks
    if aware:
        batches = ClassAwareBatchSampler(sampler, size)
    else:
        batches = torch.utils.data.BatchSampler(sampler, size, drop_last=True)
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        for indices in batches:
            yield [dataset.labels[index] for index in indices]
        epoch += 1


def share_with_positive(
    counts: list[int],
    batch: int,
    prototypes: bool = False,
    queue: int = 0,
    anchors: int = ANCHORS,
    **sampling: Any,
) -> dict[str, float]:
    """Count the anchors of the rarest class that have a positive.

    Args:
        counts (list[int]): Clips of each class.
        batch (int): B, of one rank.
        prototypes (bool): Defaults to False.
        queue (int): Its size. Defaults to 0.
        anchors (int): Of the class, to be seen at least.
        **sampling: For :func:`joint_batches`.

    Returns:
        dict[str, float]: ``share`` of the anchors, and in what share of the
        batches the class is at all, ``held``, or twice, ``pairs``.
    """
    rare = counts.index(min(counts))
    past = FeatureQueue(max(queue, 1), 1, len(counts))
    seen = found = held = pairs = total = 0
    for labels in joint_batches(counts, batch, **sampling):
        # The first batches, which meet a queue that is not full, do not count.
        if not queue or len(past) == queue:
            here = labels.count(rare)
            helped = prototypes or (
                queue and bool((past.contents()[1] == rare).any())
            )
            seen, total = seen + here, total + 1
            held, pairs = held + (here > 0), pairs + (here > 1)
            found += here if here > 1 or helped else 0
        if queue:
            past.push(torch.zeros(len(labels), 1), torch.tensor(labels))
        if seen >= anchors:
            break
    return dict(share=found / seen, held=held / total, pairs=pairs / total)


def closed_form(
    counts: list[int],
    batch: int,
    ranks: int = 1,
    balanced: bool = False,
    aware: bool = False,
    prototypes: bool = False,
    queue: int = 0,
) -> Optional[float]:
    """Expected share of the anchors of the rarest class with a positive.

    With class-balanced sampling, with replacement, binomial; a queue is taken
    as if it never reached into the epoch before.
    """
    if aware or prototypes:
        return 1.0
    others = batch * ranks - 1 + queue
    if balanced:
        return 1 - (1 - 1 / len(counts)) ** others
    clips, rare = sum(counts), min(counts)
    return 1 - comb(clips - rare, others) / comb(clips - 1, others)


def positive_shares(anchors: int = ANCHORS) -> list[dict[str, Any]]:
    """Shares of all options, sets and batch sizes."""
    found = []
    cases = product(COUNTS, BATCHES, OPTIONS)
    for name, batch, option in cases:
        setting, counts = OPTIONS[option], COUNTS[name]
        counted = share_with_positive(
            counts, batch, anchors=anchors, **setting
        )
        figure = Figure(
            dict(set=name, B=batch, option=option),
            'anchors of the rarest class with a positive',
            ours=counted['share'],
            other=closed_form(counts, batch, **setting),
            than='closed form',
            unit='share',
            note=f'class in {counted["held"]:.1%} of the batches, twice or '
            f'more in {counted["pairs"]:.1%}',
        )
        found.append(figure.to_dict())
    return found


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


def step_costs(options: Options) -> list[dict[str, Any]]:
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
            found.append(figure.to_dict())
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


def caching_costs(options: Options) -> list[dict[str, Any]]:
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
        found += [time.to_dict(), size.to_dict()]
    return found[2:]


def measure(options: Options) -> list[dict[str, Any]]:
    """Shares and costs, as the benchmark wants them."""
    return [
        *positive_shares(200 if options.quick else ANCHORS),
        *step_costs(options),
        *caching_costs(options),
    ]
