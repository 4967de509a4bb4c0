"""Sampling that shows rare classes more often."""

from collections import Counter
from collections.abc import Iterator
from typing import Optional

import torch
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch import Tensor
from torch.utils.data import Dataset

from micacl_mm.errors import ConfigError
from micacl_mm.utils.datasets import class_labels


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
        ConfigError: ``power`` is negative, or a label is no integer.

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
        if power < 0:
            raise ConfigError(
                f'ClassBalancedSampler: power must be at least 0, got {power}',
                'use 1 to show all classes equally often, 0 for as often as '
                'they occur',
            )
        super().__init__(dataset, shuffle=True, seed=seed)
        self.power = power
        self.weights = self._weigh()

    def _weigh(self) -> Tensor:
        """Weight of each video, shape (len(dataset),)."""
        labels = class_labels(self.dataset, type(self).__name__)
        counts = Counter(labels)
        # Doubles: the powers of large classes are small and many.
        sizes = torch.tensor([counts[label] for label in labels]).double()
        return sizes**-self.power

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
