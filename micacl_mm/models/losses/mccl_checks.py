"""What :class:`MCCLLoss` refuses, and what it says then."""

import math
from collections.abc import Sequence
from typing import Optional

from torch import Tensor

from micacl_mm.arguments import MOST

from .class_statistics import TEMPERATURES, WEIGHTS
from .functional import FORMS

#: Below, the gradient of float16 features of length 1 may be infinite.
LEAST_TEMPERATURE = 1e-6


def check_options(
    form: str,
    temperature_mode: str,
    class_weight: str,
    scales: Sequence[int],
    temperature: float,
    beta: float,
    queue_size: int,
) -> None:
    """Check the arguments of the constructor.

    Raises:
        ValueError: An option is unknown or a number out of its range.
    """
    for name, value, known in (
        ('form', form, FORMS),
        ('temperature_mode', temperature_mode, TEMPERATURES),
        ('class_weight', class_weight, WEIGHTS),
    ):
        if value not in known:
            raise ValueError(
                f'MCCLLoss: {name} must be one of {known}, got {value!r}'
            )
    if not scales or min(scales) < 1:
        raise ValueError(
            f'MCCLLoss: scales must be positive and not empty, got {scales}'
        )
    if not LEAST_TEMPERATURE <= temperature < math.inf:
        raise ValueError(
            f'MCCLLoss: temperature must be finite and at least '
            f'{LEAST_TEMPERATURE}, got {temperature}; do choose one such as '
            '0.07, for below, gradients of float16 features overflow'
        )
    if not 0 <= beta < 1:
        raise ValueError(f'MCCLLoss: beta must be in [0, 1), got {beta}')
    if not 0 <= queue_size <= MOST:
        raise ValueError(
            f'MCCLLoss: queue_size must not be negative nor above {MOST}, got '
            f'{queue_size}; 0 means no queue'
        )


def check_shapes(
    features: Tensor,
    labels: Tensor,
    in_channels: Optional[int],
    num_classes: int,
) -> None:
    """Check features (B, D) and labels (B,) or (B, K).

    Raises:
        ValueError: They are no batch of features and of labels, D is not
            ``in_channels``, or K not ``num_classes``.
        TypeError: The features are no floating-point numbers.
    """
    if not features.is_floating_point():
        raise TypeError(
            f'MCCLLoss: features must be of floating point, got '
            f'{features.dtype}'
        )
    shapes = tuple(features.shape), tuple(labels.shape)
    batch = len(shapes[0]) == 2 and len(shapes[1]) in (1, 2)
    if not batch or shapes[0][0] != shapes[1][0]:
        raise ValueError(
            'MCCLLoss: features must be (B, D) and labels (B,) or (B, K), '
            f'got {shapes[0]} and {shapes[1]}; give one label a bag'
        )
    channels = features.shape[1]
    if in_channels not in (None, channels):
        raise ValueError(
            f'MCCLLoss: in_channels={in_channels}, but the features '
            f'are of size {channels}; set in_channels={channels}'
        )
    if labels.dim() == 2 and labels.shape[1] != num_classes:
        raise ValueError(
            f'MCCLLoss: num_classes={num_classes}, but the labels are '
            f'distributions over {labels.shape[1]} classes; make '
            'num_classes and that of the blending agree'
        )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check the values of labels, which stalls a GPU.

    Raises:
        ValueError: A class that there is not, or no distribution.
    """
    if not len(labels):
        raise ValueError('MCCLLoss: the batch is empty; give it videos')
    if labels.dim() == 1:
        for label in (labels.min().item(), labels.max().item()):
            if not 0 <= label < num_classes:
                raise ValueError(
                    f'MCCLLoss: num_classes={num_classes}, but there is a '
                    f'label {label}; classes count from 0'
                )
    if labels.dim() == 2 and (labels.sum(dim=1) - 1).abs().max() > 1e-3:
        raise ValueError(
            'MCCLLoss: needs one class a video, or after mixup or cutmix '
            'a distribution over classes, which sums to 1; remove this '
            'loss where a video has several classes'
        )
