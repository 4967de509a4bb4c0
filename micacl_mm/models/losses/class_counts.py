"""Class counts of the training set, and the tables that follow from them."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from micacl_mm.errors import check_count

WEIGHTS = ('inverse', 'inverse_sqrt', 'raw_inverse', 'none')
TEMPERATURES = ('global', 'batch', 'per_class', 'constant')


def class_weights(counts: Tensor, kind: str) -> Tensor:
    r"""Weigh classes by how rare they are [ours].

    ``'inverse'`` is :math:`1 / n_c`, ``'inverse_sqrt'`` is
    :math:`1 / \sqrt{n_c}`, ``'none'`` is 1. They are scaled to a mean of 1
    over the classes that are present. ``'raw_inverse'`` is :math:`1 / n_c`
    without that scaling [author code].

    From counts n, (K,), to weights (K,); a class that is absent gets 0.
    """
    counts = counts + 0.0  # also of integers
    if kind == 'none':
        return torch.ones_like(counts)
    present, n = counts > 0, counts.clamp(min=1)
    weights = (n.rsqrt() if kind == 'inverse_sqrt' else 1 / n) * present
    if kind == 'raw_inverse':
        return weights
    return weights * present.sum() / weights.sum()


def class_temperatures(counts: Tensor, base: float, mode: str) -> Tensor:
    r"""Temperature of the anchors of each class.

    ``'global'``, the same for all, is [paper]:
    :math:`\tau_0\,\mathrm{mean}_c (1 + n_c / \max n)`. ``'batch'`` is
    :math:`\tau_0 (1 + n_c / \max n)`, which :class:`MCCLLoss` averages over
    the samples of a batch [author code]. ``'per_class'`` rises as a class
    gets rarer, :math:`\tau_0 (2 - n_c / \max n)` [ours, after a plot of the
    paper]. ``'constant'`` is :math:`\tau_0`.

    From counts n, (K,), and ``base``, :math:`\tau_0`, to temperatures (K,).
    """
    counts = counts + 0.0  # also of integers
    if mode == 'constant':
        return torch.full_like(counts, base)
    share = counts / counts.max()
    if mode == 'per_class':
        return base * (2 - share)
    temperatures = base * (1 + share)
    if mode == 'batch':
        return temperatures
    return temperatures.mean().expand(len(counts))


def _restore_given(module: 'ClassCounts', _: object) -> None:
    """Load hook; no closure, so that the module can be copied and pickled."""
    module._store_counts(module.given_counts)


class ClassCounts(nn.Module):
    """Base of losses that depend on how many videos each class has.

    The counts are given in the config, where they take precedence, or set by
    :class:`ClassCountsHook`, or loaded with a checkpoint: they are the buffer
    ``class_counts``, shape (K,).
    """

    def init_class_counts(
        self, num_classes: Optional[int], counts: Optional[Sequence[int]]
    ) -> None:
        """Set the number of classes K and, if given, their counts."""
        if num_classes is None and counts is None:
            raise ValueError(
                f'{type(self).__name__}: give num_classes (the counts are '
                'then read from the training set) or class_counts'
            )
        if num_classes is not None:
            check_count(type(self).__name__, num_classes=num_classes)
        self.num_classes = num_classes or len(counts)
        self.register_buffer(
            'class_counts', torch.zeros(self.num_classes, dtype=torch.long)
        )
        self.given_counts = counts
        if counts is not None:
            self._store_counts(counts)
            # Given counts take precedence over those of a checkpoint, too.
            self.register_load_state_dict_post_hook(_restore_given)

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Set the videos of each class unless the config gave some."""
        if self.given_counts is None:
            self._store_counts(counts)

    def check_class_counts(self) -> None:
        """Refuse unknown counts; reading them makes a GPU wait."""
        if not self.class_counts.any():
            raise ValueError(
                f'{type(self).__name__}: the class counts are unknown; add '
                "custom_hooks=[dict(type='ClassCountsHook')] to the config "
                'or give class_counts'
            )

    def _store_counts(self, counts: Sequence[int]) -> None:
        name = type(self).__name__
        counts = [int(count) for count in counts]
        sound = any(counts) and min(counts) >= 0 and max(counts) <= 2**31
        if len(counts) != self.num_classes or not sound:
            raise ValueError(
                f'{name}: class_counts must be {self.num_classes} numbers of '
                f'videos (num_classes), not all of them 0, got {counts}'
            )
        self.class_counts.copy_(torch.tensor(counts))
