"""Cross-entropy with the usual answers to long-tailed classes."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmaction.models.losses import BaseWeightedLoss
from torch import Tensor
from torch.nn import functional as F

from micacl_mm.errors import check_choice
from micacl_mm.registry import MODELS

from .class_counts import ClassCounts, class_weights


@MODELS.register_module()
class LongTailCrossEntropyLoss(BaseWeightedLoss, ClassCounts):
    r"""Class weights, logit adjustment and focus, each off by default.

    With scores s, labels y (one-hot, smoothed or blended), class weights w
    and the shares :math:`\pi` of the classes in the training set,

    .. math::
        p &= \mathrm{softmax}(s + \tau \log \pi) \\
        f_i &= \Bigl(1 - \sum_c y_{ic}\, p_{ic}\Bigr)^\gamma \\
        L &= -\frac{\sum_{i,c} w_c\, y_{ic}\, f_i \log p_{ic}}
            {\sum_{i,c} w_c\, y_{ic}}

    With w alone it is MMAction2's CrossEntropyLoss with ``class_weight``,
    whose counts nobody has to type. :math:`\tau` is `logit adjustment
    <https://arxiv.org/abs/2007.07314>`_, which the head leaves out in
    prediction, as it should be. :math:`\gamma` is the `focal loss
    <https://arxiv.org/abs/1708.02002>`_ in its form for one class of many,
    over the softmax: with two classes, the sigmoid form on the difference of
    the scores. One factor a video, so that it falls for what is recognised,
    whether labels are smoothed or not.

    All three are defined for hard labels. Label smoothing (the head's
    ``label_smooth_eps``) gives each class the same mass, which :math:`w` and
    :math:`1 / \pi` then blow up for rare ones: leave it at 0 with them.

    Args:
        num_classes (int, optional): K. Needed unless ``class_counts`` is
            given. Defaults to None.
        class_counts (Sequence[int], optional): n, videos of each class in the
            training set. Given, they win; else :class:`ClassCountsHook` reads
            them from the dataset. Kept in the checkpoint either way.
        class_weight (str): ``'none'``, ``'inverse'`` or ``'inverse_sqrt'``,
            see :func:`class_weights`. Defaults to ``'none'``.
        logit_adjustment (float): tau; 1 is consistent for the balanced
            error on labels that are not smoothed. Defaults to 0.0.
        gamma (float): Defaults to 0.0.
        loss_weight (float): Defaults to 1.0.

    Shapes:
        ``loss(cls_score, label)`` with (B, K) and (B,) or (B, K) gives a
        scalar. A class that the training set lacks has weight 0, and counts
        as one video in logit adjustment, whose logarithm would be infinite.

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
        logit_adjustment: float = 0.0,
        gamma: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight=loss_weight)
        # Not raw_inverse: the loss does not depend on the scale of weights.
        check_choice(
            type(self).__name__,
            ('none', 'inverse', 'inverse_sqrt'),
            class_weight=class_weight,
        )
        if logit_adjustment < 0 or gamma < 0:
            raise ValueError(
                'LongTailCrossEntropyLoss: logit_adjustment and gamma must '
                f'not be negative, got {logit_adjustment} and {gamma}'
            )
        self.class_weight = class_weight
        self.logit_adjustment = logit_adjustment
        self.gamma = gamma
        self._checked = class_weight == 'none' and not logit_adjustment
        self.init_class_counts(num_classes, class_counts)

    def _forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        if not self._checked:  # once, as looking at values stalls a GPU
            self.check_class_counts()
            self._checked = True
        self._check_shapes(cls_score, label)
        precision = torch.promote_types(cls_score.dtype, torch.float32)
        counts = self.class_counts.to(precision)
        shares = counts.clamp(min=1)
        adjustment = self.logit_adjustment * (shares / shares.sum()).log()
        scores = cls_score.to(precision) + adjustment
        logs = scores.log_softmax(dim=1)  # (B, K)
        if label.dim() == 1:
            label = F.one_hot(label, self.num_classes)
        mass = label * class_weights(counts, self.class_weight)  # (B, K)
        if self.gamma:
            # Not quite 0, where a power below 1 has no derivative.
            miss = -(label * logs.expm1()).sum(dim=1, keepdim=True)
            miss = miss.clamp(min=torch.finfo(precision).tiny)
            logs = logs * miss**self.gamma
        total = mass.sum().clamp(min=torch.finfo(precision).tiny)
        return -(mass * logs).sum() / total

    def _check_shapes(self, cls_score: Tensor, label: Tensor) -> None:
        """Shapes only, as looking at values stalls a GPU."""
        shape, size = tuple(cls_score.shape), self.num_classes
        fits = len(shape) == 2 and shape[1] == size
        if not fits or tuple(label.shape) not in (shape[:1], shape):
            raise ValueError(
                'LongTailCrossEntropyLoss: the scores must have the shape '
                f'(B, {size}) and the labels (B,) or (B, {size}), got {shape} '
                f'and {tuple(label.shape)}; give the head and this loss the '
                'same num_classes, and one class, or a share of each, a video'
            )
