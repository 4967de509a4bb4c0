"""Cross-entropy with the usual answers to long-tailed classes."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmaction.models.losses import BaseWeightedLoss
from torch import Tensor
from torch.nn import functional as F

from micacl_mm.registry import MODELS

from .class_counts import ClassCounts
from .class_statistics import WEIGHTS, class_weights


@MODELS.register_module()
class LongTailCrossEntropyLoss(BaseWeightedLoss, ClassCounts):
    r"""Class weights, logit adjustment and focus, each off by default.

    With scores s, labels y (one-hot, smoothed or blended), class weights w
    and the shares :math:`\pi` of the classes in the training set,

    .. math::
        p &= \mathrm{softmax}(s + \tau \log \pi) \\
        L &= -\frac{\sum_{i,c} w_c\, y_{ic}\, (1 - p_{ic})^\gamma
            \log p_{ic}}{\sum_{i,c} w_c\, y_{ic}}

    With w alone it is MMAction2's CrossEntropyLoss with ``class_weight``,
    whose counts nobody has to type. :math:`\tau` is `logit adjustment
    <https://arxiv.org/abs/2007.07314>`_, which the head leaves out in
    prediction, as it should be. :math:`\gamma` is the `focal loss
    <https://arxiv.org/abs/1708.02002>`_ in its form for one class of many,
    over the softmax: with two classes, the sigmoid form on the difference of
    the scores.

    Args:
        num_classes (int, optional): K. Needed unless ``class_counts`` is
            given. Defaults to None.
        class_counts (Sequence[int], optional): n, videos of each class in the
            training set. Given, they win; else :class:`ClassCountsHook` reads
            them from the dataset. Kept in the checkpoint either way.
        class_weight (str): ``'none'``, ``'inverse'``, ``'inverse_sqrt'`` or
            ``'effective'``, see :func:`class_weights`. Defaults to
            ``'none'``.
        beta (float): For ``'effective'``. Defaults to 0.999.
        logit_adjustment (float): tau; 1 is consistent for the balanced
            error. Defaults to 0.0.
        gamma (float): Defaults to 0.0.
        loss_weight (float): Defaults to 1.0.

    Shapes:
        ``loss(cls_score, label)`` with (B, K) and (B,) or (B, K) gives a
        scalar. A class that the training set lacks has weight 0, and counts
        as one video in logit adjustment, whose logarithm would be infinite.

    Raises:
        ValueError: An unknown or negative option, or class counts that are
            missing when they are needed or do not fit ``num_classes``.

    Examples:
        >>> cls_head = dict(
        ...     loss_cls=dict(
        ...         type='LongTailCrossEntropyLoss',
        ...         num_classes=7,
        ...         logit_adjustment=1.0,
        ...     )
        ... )
    """

    def __init__(
        self,
        num_classes: Optional[int] = None,
        class_counts: Optional[Sequence[int]] = None,
        class_weight: str = 'none',
        beta: float = 0.999,
        logit_adjustment: float = 0.0,
        gamma: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight=loss_weight)
        if class_weight not in WEIGHTS:
            raise ValueError(
                'LongTailCrossEntropyLoss: class_weight must be one of '
                f'{WEIGHTS}, got {class_weight!r}'
            )
        if not 0 <= beta < 1 or logit_adjustment < 0 or gamma < 0:
            raise ValueError(
                'LongTailCrossEntropyLoss: beta must be in [0, 1) and '
                'logit_adjustment and gamma not negative, got '
                f'{beta}, {logit_adjustment} and {gamma}'
            )
        self.class_weight = class_weight
        self.beta = beta
        self.logit_adjustment = logit_adjustment
        self.gamma = gamma
        self._checked = class_weight == 'none' and not logit_adjustment
        self.init_class_counts(num_classes, class_counts)

    def _forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        if not self._checked:  # once, as looking at values stalls a GPU
            self.check_class_counts()
            self._checked = True
        precision = torch.promote_types(cls_score.dtype, torch.float32)
        scores = cls_score.to(precision) + self._adjustment(precision)
        logs = scores.log_softmax(dim=1)  # (B, K)
        if label.dim() == 1:
            label = F.one_hot(label, self.num_classes)
        weights = class_weights(
            self.class_counts, self.class_weight, self.beta
        )
        mass = label * weights.to(precision)  # (B, K)
        if self.gamma:
            # Not quite 0, where a power below 1 has no derivative.
            miss = (-logs.expm1()).clamp(min=torch.finfo(precision).tiny)
            logs = logs * miss**self.gamma
        total = mass.sum().clamp(min=torch.finfo(precision).tiny)
        return -(mass * logs).sum() / total

    def _adjustment(self, dtype: torch.dtype) -> Tensor:
        """Tau times the logarithm of each class's share, (K,)."""
        counts = self.class_counts.clamp(min=1).to(dtype)
        return self.logit_adjustment * (counts / counts.sum()).log()
