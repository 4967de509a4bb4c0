"""Multiscale category-aware contrastive learning, as a registered loss."""

import logging
import math
from collections.abc import Sequence
from typing import Optional

import torch
from mmaction.models.losses import BaseWeightedLoss
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn
from torch import distributed as dist

from micacl_mm.errors import check_choice, check_count
from micacl_mm.registry import MODELS

from .class_counts import (
    TEMPERATURES,
    WEIGHTS,
    ClassCounts,
    class_temperatures,
    class_weights,
)
from .feature_queue import FeatureQueue
from .functional import FORMS, mccl

FOCAL = ('none', 'detached', 'attached')
#: Training iterations after which a loss that was never positive is reported.
PATIENCE = 50
#: Below, the gradient of float16 features of length 1 may be infinite.
LEAST_TEMPERATURE = 1e-6


def _as_shares(labels: Tensor, num_classes: int) -> Tensor:
    """Turn classes (n,) into rows of 0 and 1, (n, K); keep distributions."""
    if labels.dim() == 2:
        return labels
    # Not one_hot, which asks the device for the largest class.
    return torch.eye(num_classes, device=labels.device)[labels]


def _mean(shares: Tensor, values: Tensor) -> Tensor:
    """Mean of values (n, K) or (K,) over the classes of each video, (n,)."""
    return (shares * values).sum(dim=1)  # not @, which may round on a GPU


class _Gather(torch.autograd.Function):
    """Join (B, ...) of all ranks along axis 0; the gradient reaches each.

    That of ``torch.distributed.nn.functional`` is deprecated, and its
    gradients were wrong with gloo in torch 2.13.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        # Each rank's loss depends on this rank's rows: sum over the ranks.
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]


@MODELS.register_module()
class MCCLLoss(BaseWeightedLoss, ClassCounts):
    r"""Multiscale Category-aware Contrastive Learning.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_. Pulls bag features of
    one class together and pushes others apart, at several scales, with
    weights and a temperature from the class counts; for the formula see
    :func:`~micacl_mm.models.losses.functional.mccl`. Computed in float32
    under autocast. Under DDP each anchor is contrasted with the features of
    all ranks: two ranks of batch B equal one of batch 2B.

    Arguments marked [author code] follow an early state of model, loss and
    training, published by a co-author in June 2025
    (github.com/TuchuanLin/DFER-Platform, folder attribute/M3DFEL). Its loss is
    ``form='out'``, ``include_self=True``, ``pooled=True``,
    ``temperature_mode='batch'``, ``class_weight='raw_inverse'``,
    ``focal='attached'`` and ``loss_weight=30.0``. Left out is its linear
    layer on each scale, drawn anew at every call and never trained.

    Args:
        num_classes (int, optional): K. Needed unless ``class_counts`` is
            given. Defaults to None.
        class_counts (Sequence[int], optional): n, videos of each class in the
            training set. By default :class:`ClassCountsHook` reads them from
            the dataset. Kept in the checkpoint.
        scales (Sequence[int]): Defaults to (1, 2, 4) [paper].
        form (str): ``'log'``, ``'ratio'`` [paper] or ``'out'`` [author code].
            Defaults to ``'log'`` [ours].
        temperature (float): tau0, at least 1e-6.
            Defaults to 0.07 [author code].
        temperature_mode (str): ``'global'`` [paper], ``'batch'`` [author
            code], ``'per_class'`` or ``'constant'``, see
            :func:`class_temperatures`. Defaults to ``'global'``.
        class_weight (str): Factor of an anchor's term: ``'inverse'``,
            ``'inverse_sqrt'``, ``'raw_inverse'`` [author code] or
            ``'none'``, see :func:`class_weights`. Defaults to
            ``'inverse_sqrt'`` [ours].
        include_self (bool): Count an anchor among its own positives and keys,
            as in the figure [paper] and in [author code]. In the ``'log'``
            form its own similarity of 1 then dominates both sums, and the
            gradient falls by a factor of some 150 at B = 32 and 17 at B = 256
            (tau0 = 0.07): use it with ``'out'``. Defaults to False [ours].
        in_channels (int, optional): D, needed for the three options below.
        projection_channels (int, optional): Contrast the output of a
            two-layer head of this size. Defaults to None: the bag feature
            itself [paper].
        prototypes (bool): Add one learned centre per class to the keys, so
            that each anchor has a positive. Defaults to False [ours].
        queue_size (int): In training, add the last so many features of past
            batches, of all ranks, to the keys. They carry no gradient and
            come from the weights of earlier steps: an approximation of a
            larger batch. Defaults to 0 [ours].
        warmup_iters (int): Iterations over which the weight of the loss rises
            linearly from 0. Defaults to 0 [ours].
        pooled (bool): Scale s is the mean of s neighbouring channels [author
            code] instead of s groups. Defaults to False.
        focal (str): Multiply an anchor's term by 1 - p, p the probability
            that the classifier gives to the anchor's class: ``'none'``,
            ``'detached'`` (p without gradient) or ``'attached'`` [author
            code], whose gradient reaches the classifier and makes of this
            loss a class-weighted classification loss as well. Needs the class
            scores, which stock recognizers supply to the loss of a neck by
            one more call of the head. Defaults to ``'none'`` [ours].
        loss_weight (float): Defaults to 0.1 [ours].
        loss_name (str): Key in the log. Defaults to ``'loss_mccl'``.

    Shapes:
        ``loss(features, labels)`` with (B, D) and (B,) gives a scalar; with
        ``focal``, ``loss(features, labels, scores)`` with logits (B, K). After
        mixup or cutmix the labels are (B, K); weight, temperature and p of an
        anchor are then the means over its classes.

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
        include_self: bool = False,
        in_channels: Optional[int] = None,
        projection_channels: Optional[int] = None,
        prototypes: bool = False,
        warmup_iters: int = 0,
        loss_weight: float = 0.1,
        loss_name: str = 'loss_mccl',
        queue_size: int = 0,
        pooled: bool = False,
        focal: str = 'none',
    ) -> None:
        super().__init__(loss_weight=loss_weight)
        check_choice('MCCLLoss', FORMS, form=form)
        mode = temperature_mode
        check_choice('MCCLLoss', TEMPERATURES, temperature_mode=mode)
        check_choice('MCCLLoss', WEIGHTS, class_weight=class_weight)
        check_choice('MCCLLoss', FOCAL, focal=focal)
        if not scales or min(scales) < 1:
            raise ValueError(
                'MCCLLoss: scales must be positive and not empty, got '
                f'{scales}'
            )
        if not LEAST_TEMPERATURE <= temperature < math.inf:
            raise ValueError(
                'MCCLLoss: temperature must be finite and at least '
                f'{LEAST_TEMPERATURE}, below which gradients of float16 '
                f'features overflow, got {temperature}; use 0.07, for example'
            )
        check_count('MCCLLoss', 0, queue_size=queue_size)
        self.scales = tuple(scales)
        self.form = form
        self.temperature = temperature
        self.temperature_mode = temperature_mode
        self.class_weight = class_weight
        self.include_self = include_self
        self.warmup_iters = warmup_iters
        self.loss_name = loss_name
        self.pooled = pooled
        self.focal = focal
        self.uses_scores = focal != 'none'  # see BaseBagNeck
        self._checked = False
        self._seen, self._total = 0, 0.0  # see _watch
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
        self.projection = self.prototypes = self.queue = None
        self.in_channels = None
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

    def _forward(
        self,
        features: Tensor,
        labels: Tensor,
        scores: Optional[Tensor] = None,
    ) -> Tensor:
        self._check_shapes(features, labels, scores)
        if not (self._checked or torch.compiler.is_compiling()):
            self._check_values(labels)
        precision = torch.promote_types(features.dtype, torch.float32)
        shares = _as_shares(labels, self.num_classes).to(precision)  # (B, K)
        with torch.autocast(features.device.type, enabled=False):
            loss = self._contrast(features.to(precision), shares, scores)
        if self.training and not torch.compiler.is_compiling():
            self._watch(loss.detach())
        return loss * self._warmup_factor()

    def _watch(self, loss: Tensor) -> None:
        """Warn once if no video has found another of its class: loss 0.

        Looks at its value once a training, as that makes a GPU wait.
        """
        if self._seen < PATIENCE:
            self._seen, self._total = self._seen + 1, self._total + loss
            if self._seen == PATIENCE and not self._total:
                print_log(
                    f'MCCLLoss: {self.loss_name} was 0 in all of the first '
                    f'{PATIENCE} iterations, as no video of a batch had '
                    'another of its class; use a larger batch_size, '
                    'ClassAwareBatchSampler, prototypes or queue_size',
                    logger='current',
                    level=logging.WARNING,
                )

    def _check_shapes(
        self, features: Tensor, labels: Tensor, scores: Optional[Tensor]
    ) -> None:
        got, rows = tuple(features.shape), tuple(labels.shape)
        size, classes = self.in_channels, self.num_classes
        fits = features.is_floating_point() and len(got) == 2
        fits = fits and got[:1] == rows[:1] and size in (None, got[1])
        if not fits or rows[1:] not in ((), (classes,)):
            raise ValueError(
                f'MCCLLoss: features must be floats (B, {size or "D"}) and '
                f'labels (B,) or (B, {classes}), got {features.dtype} {got} '
                f'and {rows}; give one label a bag and set in_channels and '
                'num_classes'
            )
        got = None if scores is None else tuple(scores.shape)
        if self.uses_scores and got != (rows[0], classes):
            raise ValueError(
                f'MCCLLoss: focal={self.focal!r} needs the class scores, '
                f'{(rows[0], classes)}, got {got}; call loss(features, '
                'labels, scores)'
            )

    def _check_values(self, labels: Tensor) -> None:
        """At the first call only, as looking at values makes a GPU wait."""
        if self.class_weight != 'none' or self.temperature_mode != 'constant':
            self.check_class_counts()
        if not len(labels):
            raise ValueError('MCCLLoss: the batch is empty; give it videos')
        if labels.dim() == 1:
            low, high = labels.min().item(), labels.max().item()
            if low < 0 or high >= self.num_classes:
                raise ValueError(
                    f'MCCLLoss: num_classes={self.num_classes}, but there are '
                    f'labels from {low} to {high}; classes count from 0'
                )
        elif (labels.sum(dim=1) - 1).abs().max() > 1e-3:
            raise ValueError(
                'MCCLLoss: needs one class a video, or after mixup or cutmix '
                'a distribution over classes, which sums to 1; remove this '
                'loss where a video has several classes'
            )
        self._checked = True

    def _warmup_factor(self) -> float:
        """Share of the weight at the runner's iteration."""
        if not (self.training and self.warmup_iters):
            return 1.0
        hub = MessageHub.get_current_instance()
        return min(1.0, hub.get_info('iter', 0) / self.warmup_iters)

    def _contrast(
        self, features: Tensor, shares: Tensor, scores: Optional[Tensor]
    ) -> Tensor:
        if self.projection is not None:
            weight = self.projection[0].weight
            features = self.projection(features.to(weight.dtype)).to(features)
        batch, offset = (features, shares), 0
        if self.training and get_world_size() > 1:
            batch = tuple(map(_Gather.apply, batch))
            offset = get_rank() * len(features)
        keys, key_shares = self._join_keys(batch)
        counts = self.class_counts.to(features.dtype)
        mode = self.temperature_mode
        temperatures = class_temperatures(counts, self.temperature, mode)
        if mode == 'batch':
            temperature = _mean(batch[1], temperatures).mean()
        else:
            temperature = _mean(shares, temperatures)
        weights = _mean(shares, class_weights(counts, self.class_weight))
        if self.uses_scores:
            if self.focal == 'detached':
                scores = scores.detach()
            chances = scores.to(features).softmax(dim=1)
            weights = weights * (1 - _mean(shares, chances))
        loss = mccl(
            features,
            shares,
            keys,
            key_shares,
            offset=offset,
            scales=self.scales,
            temperature=temperature,
            weights=weights,
            form=self.form,
            include_self=self.include_self,
            pooled=self.pooled,
        )
        if self.queue is not None and self.training:
            self.queue.push(*batch)
        return loss

    def _join_keys(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Put prototypes and past features behind the batch."""
        parts = [batch]
        if self.prototypes is not None:
            like = dict(dtype=batch[1].dtype, device=batch[1].device)
            classes = torch.eye(self.num_classes, **like)
            parts.append((self.prototypes.weight, classes))
        if self.queue is not None and self.training:
            parts.append(self.queue.contents())
        if len(parts) == 1:
            return batch
        features, shares = zip(*parts, strict=True)
        return torch.cat(features), torch.cat(shares)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args, **kwargs
    ) -> None:
        if self.queue is None:  # of a training that had one
            queued = f'{prefix}queue.'
            for name in [n for n in state_dict if n.startswith(queued)]:
                del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
