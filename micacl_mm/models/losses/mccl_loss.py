"""Multiscale category-aware contrastive learning, as a registered loss."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmaction.models.losses import BaseWeightedLoss
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.nn import functional as F

from micacl_mm.registry import MODELS

from .class_counts import ClassCounts
from .class_statistics import (
    TEMPERATURES,
    WEIGHTS,
    class_temperatures,
    class_weights,
)
from .functional import FORMS, mccl
from .gather import gather_with_grad


def _of_anchors(values: Tensor, labels: Tensor) -> Tensor:
    """Look up a value of each class (K,) by class, or by distribution."""
    return values[labels] if labels.dim() == 1 else labels.to(values) @ values


@MODELS.register_module()
class MCCLLoss(BaseWeightedLoss, ClassCounts):
    r"""Multiscale Category-aware Contrastive Learning.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_. Pulls bag
    features of one class together and others apart, at several scales, with
    weights and temperature from the class counts; the formula stands at
    :func:`~micacl_mm.models.losses.functional.mccl`. Computed
    in float32 under autocast; under DDP every anchor meets the features of
    all ranks, so that two ranks of batch B act as one of batch 2B.

    Args:
        num_classes (int, optional): K. Needed unless ``class_counts`` is
            given. Defaults to None.
        class_counts (Sequence[int], optional): n, videos of each class in the
            training set. Given, they win; else :class:`ClassCountsHook` reads
            them from the dataset. Kept in the checkpoint either way.
        scales (Sequence[int]): Numbers of feature groups.
            Defaults to (1, 2, 4) [paper].
        form (str): ``'log'``, ``'ratio'`` [paper] or ``'out'``.
            Defaults to ``'log'`` [ours].
        temperature (float): tau0. Defaults to 0.07 [kin].
        temperature_mode (str): ``'global'`` [paper], ``'per_class'`` or
            ``'constant'``. Defaults to ``'global'``.
        class_weight (str): ``'inverse'``, ``'inverse_sqrt'``, ``'effective'``
            or ``'none'``, multiplied on an anchor's term [ours].
            Defaults to ``'inverse_sqrt'``.
        beta (float): For ``'effective'``. Defaults to 0.999.
        include_self (bool): Count an anchor among its own positives, as the
            figure draws it. Defaults to False [ours].
        in_channels (int, optional): D, needed for the two options below.
        projection_channels (int, optional): Contrast the output of a
            two-layer head of this size. Defaults to None: the bag feature
            itself [paper].
        prototypes (bool): Let one learned centre a class join the keys, so
            that every anchor has a positive. Defaults to False [ours].
        warmup_iters (int): Iterations over which the weight of the loss rises
            linearly from 0. Defaults to 0 [ours].
        loss_weight (float): Defaults to 0.1 [ours].
        loss_name (str): Key in the log. Defaults to ``'loss_mccl'``.

    Shapes:
        ``loss(features, labels)`` with (B, D) and (B,) gives a scalar. After
        mixup or cutmix the labels are (B, K); weight and temperature of an
        anchor are then the means over its classes, see
        :func:`micacl_mm.models.losses.functional.mccl`.

    Raises:
        ValueError: An unknown option, class counts that are missing when they
            are needed or that do not fit ``num_classes``, or labels (B, K)
            that are no distributions.

    Examples:
        >>> loss = MCCLLoss(class_counts=[90, 10])
        >>> loss(torch.rand(8, 64), torch.arange(8) % 2).shape
        torch.Size([])
    """

    def __init__(
        self,
        num_classes: Optional[int] = None,
        class_counts: Optional[Sequence[int]] = None,
        scales: Sequence[int] = (1, 2, 4),
        form: str = 'log',
        temperature: float = 0.07,
        temperature_mode: str = 'global',
        class_weight: str = 'inverse_sqrt',
        beta: float = 0.999,
        include_self: bool = False,
        in_channels: Optional[int] = None,
        projection_channels: Optional[int] = None,
        prototypes: bool = False,
        warmup_iters: int = 0,
        loss_weight: float = 0.1,
        loss_name: str = 'loss_mccl',
    ) -> None:
        super().__init__(loss_weight=loss_weight)
        for name, value, known in (
            ('form', form, FORMS),
            ('temperature_mode', temperature_mode, TEMPERATURES),
            ('class_weight', class_weight, WEIGHTS),
        ):
            if value not in known:
                raise ValueError(
                    f'MCCLLoss: {name} must be one of {known}, got {value!r}'
                )
        if not scales or min(scales) < 1 or temperature <= 0:
            raise ValueError(
                'MCCLLoss: scales must be positive and not empty and '
                f'temperature positive, got {scales} and {temperature}'
            )
        if not 0 <= beta < 1:
            raise ValueError(f'MCCLLoss: beta must be in [0, 1), got {beta}')
        self.scales = tuple(scales)
        self.form = form
        self.temperature = temperature
        self.temperature_mode = temperature_mode
        self.class_weight = class_weight
        self.beta = beta
        self.include_self = include_self
        self.warmup_iters = warmup_iters
        self.loss_name = loss_name
        self._checked = False
        self.init_class_counts(num_classes, class_counts)
        self._init_heads(in_channels, projection_channels, prototypes)

    def _init_heads(
        self,
        in_channels: Optional[int],
        projection_channels: Optional[int],
        prototypes: bool,
    ) -> None:
        self.projection, self.prototypes, self.in_channels = None, None, None
        if not (projection_channels or prototypes):
            return
        if in_channels is None:
            raise ValueError(
                'MCCLLoss: a projection or prototypes need in_channels, the '
                'size of the bag feature'
            )
        self.in_channels = in_channels
        if projection_channels:
            self.projection = nn.Sequential(
                nn.Linear(in_channels, in_channels),
                nn.ReLU(inplace=True),
                nn.Linear(in_channels, projection_channels),
            )
        if prototypes:
            size = projection_channels or in_channels
            # A module: stock optimizer constructors overlook bare parameters.
            self.prototypes = nn.Embedding(self.num_classes, size)

    def _check_shapes(self, features: Tensor, labels: Tensor) -> None:
        channels, classes = features.shape[1], self.num_classes
        if self.in_channels not in (None, channels):
            raise ValueError(
                f'MCCLLoss: in_channels={self.in_channels}, but the features '
                f'are of size {channels}; set in_channels={channels}'
            )
        if labels.dim() == 2 and labels.shape[1] != classes:
            raise ValueError(
                f'MCCLLoss: num_classes={classes}, but the labels are '
                f'distributions over {labels.shape[1]} classes; make '
                'num_classes and that of the blending agree'
            )

    def _check_values(self, labels: Tensor) -> None:
        """At the first call only, as looking at values stalls a GPU."""
        needless = (
            self.class_weight == 'none' and self.temperature_mode == 'constant'
        )
        if not needless:
            self.check_class_counts()
        if labels.dim() == 1 and labels.max() >= self.num_classes:
            raise ValueError(
                f'MCCLLoss: num_classes={self.num_classes}, but there is a '
                f'label {labels.max().item()}; classes count from 0'
            )
        if labels.dim() == 2 and (labels.sum(dim=1) - 1).abs().max() > 1e-3:
            raise ValueError(
                'MCCLLoss: needs one class a video, or after mixup or cutmix '
                'a distribution over classes, which sums to 1; remove this '
                'loss where a video has several classes'
            )
        self._checked = True

    def _forward(self, features: Tensor, labels: Tensor) -> Tensor:
        self._check_shapes(features, labels)
        if not self._checked:
            self._check_values(labels)
        precision = torch.promote_types(features.dtype, torch.float32)
        if labels.dim() == 2:  # one-hot and whole where nothing was blended
            labels = labels.to(precision)
        with torch.autocast(features.device.type, enabled=False):
            loss = self._contrast(features.to(precision), labels)
        return loss * self._warmup_factor()

    def _warmup_factor(self) -> float:
        """Share of the weight at the runner's iteration."""
        if not (self.training and self.warmup_iters):
            return 1.0
        hub = MessageHub.get_current_instance()
        return min(1.0, hub.get_info('iter', 0) / self.warmup_iters)

    def _contrast(self, features: Tensor, labels: Tensor) -> Tensor:
        if self.projection is not None:
            weight = self.projection[0].weight
            features = self.projection(features.to(weight.dtype)).to(features)
        keys, key_labels, offset = features, labels, 0
        if self.training and get_world_size() > 1:
            keys, key_labels = map(gather_with_grad, (features, labels))
            offset = get_rank() * len(features)
        if self.prototypes is not None:
            classes = torch.arange(self.num_classes, device=labels.device)
            if labels.dim() == 2:
                classes = F.one_hot(classes).to(labels)
            keys = torch.cat([keys, self.prototypes.weight.to(keys.dtype)])
            key_labels = torch.cat([key_labels, classes])
        counts = self.class_counts
        temperatures = class_temperatures(
            counts, self.temperature, self.temperature_mode
        )
        weights = class_weights(counts, self.class_weight, self.beta)
        return mccl(
            features,
            labels,
            keys,
            key_labels,
            offset=offset,
            scales=self.scales,
            temperature=_of_anchors(temperatures, labels),
            weights=_of_anchors(weights, labels),
            form=self.form,
            include_self=self.include_self,
        )
