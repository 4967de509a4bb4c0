r"""How often a clip of a rare class finds a partner.

The real samplers run over the official train counts, without any images. The
expected share of anchors with a positive is counted beside the closed form:
the batch and the queue are drawn without replacement from the N clips of an
epoch, n of them of the class, so that an anchor with k other keys finds none
with probability :math:`\binom{N - n}{k} / \binom{N - 1}{k}`.
"""

from collections.abc import Iterator
from itertools import product
from math import comb
from typing import Any, Optional

import torch
from mmengine.dataset import DefaultSampler

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.samplers import (
    ClassAwareBatchSampler,
    ClassBalancedSampler,
)
from micacl_mm.models.losses.feature_queue import FeatureQueue

from .figure import Figure

COUNTS = {
    'DFEW fold 1': DFEWDataset.OFFICIAL_COUNTS[1]['train'],
    'FERV39k': FERV39kDataset.OFFICIAL_COUNTS['all']['train'],
}
BATCHES = (32, 64, 256)
RANKS, QUEUE = 8, 1024
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


def positive_shares(anchors: int = ANCHORS) -> list[Figure]:
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
        found.append(figure)
    return found
