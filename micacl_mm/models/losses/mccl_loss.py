"""Multiscale category-aware contrastive learning, as a registered loss."""

from collections.abc import Sequence
from typing import Optional

import torch
from mmaction.models.losses import BaseWeightedLoss
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor, nn

from micacl_mm.arguments import check_count, checked_arguments
from micacl_mm.registry import MODELS

from .class_counts import ClassCounts
from .class_statistics import class_temperatures, class_weights
from .feature_queue import FeatureQueue, as_shares
from .functional import mccl
from .gather import gather_with_grad
from .mccl_checks import check_labels, check_options, check_shapes


def _of_anchors(values: Tensor, labels: Tensor) -> Tensor:
    """Look up a value of each class (K,) by class, or by distribution."""
    return values[labels] if labels.dim() == 1 else labels.to(values) @ values


@MODELS.register_module()
@checked_arguments
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
        temperature (float): tau0, at least 1e-6. Defaults to 0.07 [kin].
        temperature_mode (str): ``'global'`` [paper], ``'per_class'`` or
            ``'constant'``. Defaults to ``'global'``.
        class_weight (str): ``'inverse'``, ``'inverse_sqrt'``, ``'effective'``
            or ``'none'``, multiplied on an anchor's term [ours].
            Defaults to ``'inverse_sqrt'``.
        beta (float): For ``'effective'``. Defaults to 0.999.
        include_self (bool): Count an anchor among its own positives, as the
            figure draws it. Defaults to False [ours].
        in_channels (int, optional): D, needed for the three options below.
        projection_channels (int, optional): Contrast the output of a
            two-layer head of this size. Defaults to None: the bag feature
            itself [paper].
        prototypes (bool): Let one learned centre a class join the keys, so
            that every anchor has a positive. Defaults to False [ours].
        queue_size (int): Let the last so many features of past batches, of
            all ranks, join the keys in training. They carry no gradient and
            were made by the weights of earlier steps, so this is no larger
            batch but an approximation of one. Prototypes and the batch come
            before them. Defaults to 0 [ours].
        warmup_iters (int): Iterations over which the weight of the loss rises
            linearly from 0. Defaults to 0 [ours].
        fused (bool, optional): See :func:`mccl`; ``False`` where second
            derivatives are wanted. Defaults to None, what is faster.
        loss_weight (float): Defaults to 0.1 [ours].
        loss_name (str): Key in the log. Defaults to ``'loss_mccl'``.

    Shapes:
        ``loss(features, labels)`` with (B, D) and (B,) gives a scalar. After
        mixup or cutmix the labels are (B, K); weight and temperature of an
        anchor are then the means over its classes, see
        :func:`micacl_mm.models.losses.functional.mccl`.

    Raises:
        ValueError: An unknown option, class counts that are missing when they
            are needed or that do not fit ``num_classes``, a number out of its
            range, shapes that do not fit, an empty batch, a label that is no
            class, or labels (B, K) that are no distributions.
        TypeError: An argument is of another type, or the features are no
            floating-point numbers.

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
        queue_size: int = 0,
        fused: Optional[bool] = None,
    ) -> None:
        super().__init__(loss_weight=loss_weight)
        check_options(
            form,
            temperature_mode,
            class_weight,
            scales,
            temperature,
            beta,
            queue_size,
        )
        self.scales = tuple(scales)
        self.form = form
        self.temperature = temperature
        self.temperature_mode = temperature_mode
        self.class_weight = class_weight
        self.beta = beta
        self.include_self = include_self
        self.warmup_iters = warmup_iters
        self.loss_name = loss_name
        self.fused = fused
        self._checked = False
        self._tables = (None, 0, None)
        self.init_class_counts(num_classes, class_counts)
        self._init_heads(
            in_channels, projection_channels, prototypes, queue_size
        )

    def _init_heads(
        self,
        in_channels: Optional[int],
        projection_channels: Optional[int],
        prototypes: bool,
        queue_size: int,
    ) -> None:
        self.projection, self.prototypes, self.in_channels = None, None, None
        self.queue = None
        if not (projection_channels or prototypes or queue_size):
            return
        if in_channels is None:
            raise ValueError(
                'MCCLLoss: a projection, prototypes or a queue need '
                'in_channels, the size of the bag feature'
            )
        size = projection_channels or in_channels
        check_count('MCCLLoss', in_channels=in_channels, size=size)
        self.in_channels = in_channels
        if projection_channels:
            self.projection = nn.Sequential(
                nn.Linear(in_channels, in_channels),
                nn.ReLU(inplace=True),
                nn.Linear(in_channels, projection_channels),
            )
        if queue_size:
            self.queue = FeatureQueue(queue_size, size, self.num_classes)
        if prototypes:
            # A module: stock optimizer constructors overlook bare parameters.
            self.prototypes = nn.Embedding(self.num_classes, size)

    def _check_values(self, labels: Tensor) -> None:
        """At the first call only, as looking at values stalls a GPU."""
        needless = (
            self.class_weight == 'none' and self.temperature_mode == 'constant'
        )
        if not needless:
            self.check_class_counts()
        check_labels(labels, self.num_classes)
        self._checked = True

    def _forward(self, features: Tensor, labels: Tensor) -> Tensor:
        check_shapes(features, labels, self.in_channels, self.num_classes)
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
        queue = self.queue if self.training else None
        batch, offset = (features, labels), 0
        if self.training and get_world_size() > 1:
            batch = tuple(map(gather_with_grad, batch))
            offset = get_rank() * len(features)
        keys, key_labels = batch
        if queue is not None and queue.blended:
            labels = as_shares(labels, self.num_classes)
            key_labels = as_shares(key_labels, self.num_classes)
        keys, key_labels = self._join_keys(keys, key_labels, queue)
        temperatures, weights = self._of_classes()
        loss = mccl(
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
            constants=0 if queue is None else len(queue),
            fused=self.fused,
        )
        if queue is not None:
            queue.push(*batch)
        return loss

    def _of_classes(self) -> tuple[Tensor, Tensor]:
        """Temperature and weight of each class, until the counts change."""
        counts = self.class_counts
        # Made in inference mode, a tensor counts no changes.
        now = None if counts.is_inference() else counts._version
        made_of, version, tables = self._tables
        if made_of is not counts or version != now or now is None:
            tables = (
                class_temperatures(
                    counts, self.temperature, self.temperature_mode
                ),
                class_weights(counts, self.class_weight, self.beta),
            )
            self._tables = (counts, now, tables)
        return tables

    def _join_keys(
        self, keys: Tensor, labels: Tensor, queue: Optional[FeatureQueue]
    ) -> tuple[Tensor, Tensor]:
        """Put prototypes and past features behind the batch."""
        blended = labels.dim() == 2
        parts = [(keys, labels)]
        if self.prototypes is not None:
            classes = torch.arange(self.num_classes, device=labels.device)
            if blended:
                classes = as_shares(classes, self.num_classes)
            parts.append((self.prototypes.weight, classes))
        if queue is not None:
            parts.append(queue.contents(blended))
        if len(parts) == 1:
            return keys, labels
        return (
            torch.cat([part.to(keys.dtype) for part, _ in parts]),
            torch.cat([part.to(labels.dtype) for _, part in parts]),
        )

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args, **kwargs
    ) -> None:
        if self.queue is None:  # of a training that had one
            queued = f'{prefix}queue.'
            for name in [n for n in state_dict if n.startswith(queued)]:
                del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
