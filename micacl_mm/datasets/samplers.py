"""Sampling that shows rare classes more often, or never alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Optional

import torch
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch import Generator
from torch.utils.data import Dataset, Sampler

from micacl_mm.errors import ConfigError
from micacl_mm.utils.datasets import class_labels


def _not_negative(owner: str, power: float) -> float:
    """The power, which no sampler may turn round."""
    if power < 0:
        raise ConfigError(
            f'{owner}: power must be at least 0, got {power}',
            'use 0 to show classes as often as they occur',
        )
    return power


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(DefaultSampler):
    r"""Draws each video with a weight that falls with the size of its class.

    A draw takes class c, of :math:`n_c` videos, with probability

    .. math:: P(c) = n_c^{1 - p} / \sum_k n_k^{1 - p}

    and then one of its videos, all alike, with replacement. p = 1 shows all
    classes equally often, p = 0 as often as they occur (the "power" sampling
    of `Kang et al. <https://arxiv.org/abs/1910.09217>`_ has q = 1 - p).

    An epoch is as long as that of :class:`DefaultSampler`, so that a
    comparison with it is over the same number of updates. MMEngine's
    ClassBalancedDataset makes epochs longer instead. Under DDP all ranks make
    the same draw and each takes its own share of it.

    Args:
        dataset (Dataset): Any dataset of MMAction2 with one label a video,
            also in a wrapper of MMEngine.
        power (float): p. Defaults to 1.0.
        seed (int, optional): The same on all ranks. Epochs differ. Defaults
            to None, drawn by MMEngine.

    Raises:
        ConfigError: ``power`` is negative.
        DataError: A label is no integer.

    Examples:
        >>> train_dataloader = dict(
        ...     sampler=dict(
        ...         _delete_=True, type='ClassBalancedSampler', power=1.0
        ...     )
        ... )
    """

    def __init__(
        self,
        dataset: Dataset,
        power: float = 1.0,
        seed: Optional[int] = None,
    ) -> None:
        super().__init__(dataset, shuffle=True, seed=seed)
        self.power = _not_negative(type(self).__name__, power)
        labels = class_labels(self.dataset, type(self).__name__)
        counts = Counter(labels)
        # Doubles: the powers of large classes are small and many.
        sizes = torch.tensor([counts[label] for label in labels]).double()
        self.weights = sizes**-power  # (len(dataset),)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the share of this rank in the draw of the epoch."""
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(
            self.weights,
            self.total_size,
            replacement=True,
            generator=generator,
        )
        return iter(drawn[self.rank :: self.world_size].tolist())


@DATA_SAMPLERS.register_module()
class ClassAwareBatchSampler(Sampler):
    r"""Makes batches that hold at least m clips of each class they hold.

    The joint batch of all ranks, B clips, is made of :math:`g = \lfloor B / m
    \rfloor` groups of m clips of one class (of one more where m does not
    divide B). A group is of class c, of :math:`n_c` clips, with probability

    .. math:: P(c) = n_c^{1 - p} / \sum_k n_k^{1 - p}

    So a clip is of class c as often as in plain shuffling (p = 0) or in
    :class:`ClassBalancedSampler` of the same power; a rare class is in fewer
    batches, and never alone. MPerClassSampler of pytorch-metric-learning
    shows all classes equally often instead.

    Of the G groups of an epoch class c gets :math:`G P(c)`, rounded up or
    down by chance. Each class shows all its clips in a random order before
    one comes again, and no clip is twice in a batch unless its class has
    fewer than the batch asks for. With p = 0 an epoch thus shows all clips
    once, but for the rounding: about m of a class are left out or shown twice.

    An epoch has as many batches as without this sampler, all of full size,
    drawn from seed and epoch alone. All ranks make the same draw, each takes
    an equal, random share of every batch.

    Args:
        sampler (Sampler): DefaultSampler or :class:`ClassBalancedSampler`, as
            ``train_dataloader.sampler`` has it: dataset, seed, epoch and
            ranks are taken from it, not its order.
        batch_size (int): Clips of one rank. As
            ``train_dataloader.batch_size`` has it.
        samples_per_class (int): m. Defaults to 2.
        power (float, optional): p. Defaults to None, that of a
            ClassBalancedSampler, else 0.
        drop_last (bool): Leave out the clips that fill no batch; else one
            more batch, filled up, ends the epoch. Defaults to True.

    Raises:
        TypeError: Another sampler, which knows no epochs.
        ConfigError: A joint batch smaller than m or larger than the epoch, or
            a negative ``power``.
        DataError: A label is no integer.

    Examples:
        >>> train_dataloader = dict(
        ...     drop_last=False,  # of the loader, which refuses it here
        ...     batch_sampler=dict(
        ...         type='ClassAwareBatchSampler', samples_per_class=2
        ...     ),
        ... )
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        samples_per_class: int = 2,
        power: Optional[float] = None,
        drop_last: bool = True,
    ) -> None:
        if not isinstance(sampler, DefaultSampler):
            raise TypeError(
                'ClassAwareBatchSampler: sampler must be a DefaultSampler or '
                f'ClassBalancedSampler, got {type(sampler).__name__}'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.joint_size = batch_size * sampler.world_size
        self.samples_per_class = samples_per_class
        name = type(self).__name__
        power = getattr(sampler, 'power', 0.0) if power is None else power
        self.power = _not_negative(name, power)
        self.drop_last = drop_last
        if not 1 <= self.samples_per_class <= self.joint_size:
            raise ConfigError(
                'ClassAwareBatchSampler: samples_per_class must be from 1 to '
                f'the batch of all ranks, {self.joint_size}, got '
                f'{self.samples_per_class}'
            )
        if not len(self):
            raise ConfigError(
                'ClassAwareBatchSampler: a batch of '
                f'{self.joint_size} over all ranks is more than the '
                f'{len(self.sampler.dataset)} clips',
                'reduce batch_size, or set drop_last=False',
            )
        self._clips: dict[int, list[int]] = defaultdict(list)
        for index, label in enumerate(class_labels(sampler.dataset, name)):
            self._clips[label].append(index)

    def __len__(self) -> int:
        """Number of batches, the same on every rank."""
        samples = len(self.sampler)
        if self.drop_last:
            return samples // self.batch_size
        return -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over this rank's share of the batches of the epoch."""
        rank, world_size = self.sampler.rank, self.sampler.world_size
        for batch in self.joint_batches():
            yield batch[rank::world_size]

    def joint_batches(self) -> Iterator[list[int]]:
        """Iterate over the batches of all ranks together."""
        generator = Generator()
        generator.manual_seed(self.sampler.seed + self.sampler.epoch)
        sizes = self._group_sizes()
        classes = self._draw_classes(len(self) * len(sizes), generator)
        stocks = {
            label: _Stock(c, generator) for label, c in self._clips.items()
        }
        for start in range(0, len(classes), len(sizes)):
            wanted: dict[int, int] = defaultdict(int)
            groups = classes[start : start + len(sizes)]
            for label, size in zip(groups, sizes, strict=True):
                wanted[label] += size
            batch = [
                clip
                for label, n in wanted.items()
                for clip in stocks[label].take(n)
            ]
            order = torch.randperm(len(batch), generator=generator).tolist()
            yield [batch[i] for i in order]

    def _group_sizes(self) -> list[int]:
        """Clips of each group of a batch, m or a few more."""
        groups = self.joint_size // self.samples_per_class
        size, larger = divmod(self.joint_size, groups)
        return [size + (i < larger) for i in range(groups)]

    def _draw_classes(self, groups: int, generator: Generator) -> list[int]:
        """Class of each group of the epoch, in random order."""
        # Systematic sampling: the running sum of the expected numbers, shifted
        # by one random number and rounded down.
        labels = list(self._clips)
        sizes = torch.tensor([len(clips) for clips in self._clips.values()])
        masses = sizes.double() ** (1 - self.power)
        shift = torch.rand((), dtype=torch.double, generator=generator)
        ends = (
            (masses.cumsum(0) / masses.sum() * groups + shift).floor().long()
        )
        ends[-1] = groups  # whatever the rounding of the sum
        counts = ends.diff(prepend=ends.new_zeros(1))
        drawn = torch.tensor(labels).repeat_interleave(counts)
        return drawn[torch.randperm(groups, generator=generator)].tolist()


class _Stock:
    """The clips of a class, dealt out in one random order after another."""

    def __init__(self, clips: list[int], generator: Generator) -> None:
        self.clips = clips
        self.generator = generator
        self.left: list[int] = []

    def take(self, number: int) -> list[int]:
        """Deal clips, all different as long as there are that many."""
        taken: list[int] = []
        while len(taken) < number:
            if not self.left:
                self.left = self._shuffled(taken)
            missing = number - len(taken)
            taken += self.left[:missing]
            self.left = self.left[missing:]
        return taken

    def _shuffled(self, taken: list[int]) -> list[int]:
        """All clips anew, those of this very batch last."""
        order = torch.randperm(len(self.clips), generator=self.generator)
        clips = [self.clips[i] for i in order.tolist()]
        seen = set(taken)
        return sorted(clips, key=seen.__contains__)
