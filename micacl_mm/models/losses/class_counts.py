"""How a loss comes to know the class counts of the training set."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import nn

from micacl_mm.arguments import check_count


def _restore_given(module: 'ClassCounts', _: object) -> None:
    """Load hook; no closure, so that the module can be copied and pickled."""
    module._store_counts(module.given_counts)


class ClassCounts(nn.Module):
    """Base of losses that look at how many videos each class has.

    The counts are given in the config, where they win over everything, or
    handed over by :class:`ClassCountsHook`, or come with a checkpoint: they
    are the buffer ``class_counts``, shape (K,).
    """

    def init_class_counts(
        self, num_classes: Optional[int], counts: Optional[Sequence[int]]
    ) -> None:
        """Set the number of classes K and, if given, their counts.

        Raises:
            ValueError: Neither is given, or they do not fit each other.
        """
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
            # Given counts win over those of a checkpoint, too.
            self.register_load_state_dict_post_hook(_restore_given)

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the counts of the training set unless one's own were given.

        Args:
            counts (Sequence[int]): Videos of each class, length K.

        Raises:
            ValueError: Wrong length, a negative count, or all zero.
        """
        if self.given_counts is None:
            self._store_counts(counts)

    def check_class_counts(self) -> None:
        """Refuse to go on without counts; reading them would stall a GPU.

        Raises:
            ValueError: Nobody has told the counts.
        """
        if not self.class_counts.any():
            raise ValueError(
                f'{type(self).__name__}: the class counts are unknown; add '
                "custom_hooks=[dict(type='ClassCountsHook')] to the config "
                'or give class_counts'
            )

    def _store_counts(self, counts: Sequence[int]) -> None:
        name = type(self).__name__
        counts = [int(count) for count in counts]
        if len(counts) != self.num_classes:
            raise ValueError(
                f'{name}: {len(counts)} class counts were given for '
                f'num_classes={self.num_classes}; make them agree'
            )
        if not any(counts) or min(counts) < 0 or max(counts) > 2**31:
            raise ValueError(
                f'{name}: class counts must not be negative and not all be '
                f'zero, nor beyond 2**31, got {counts}'
            )
        self.class_counts.copy_(torch.tensor(counts))
