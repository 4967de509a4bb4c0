"""Post-hoc logit adjustment of a trained recognizer."""

import logging
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Optional

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from micacl_mm.errors import ConfigError


def adjust_logits(
    model: nn.Module, tau: float, class_counts: Sequence[int]
) -> RemovableHandle:
    r"""Subtract :math:`\tau \log \pi` from the logits of a recognizer.

    `Post-hoc logit adjustment <https://arxiv.org/abs/2007.07314>`_: with the
    class shares :math:`\pi` of the training set and a model trained by plain
    cross-entropy, the argmax with :math:`\tau = 1` is consistent for the
    balanced error. It acts on the head's output in eval mode, before the
    softmax and the mean over clips: prediction, inference and export share
    it. A class without a training video counts as one.

    Args:
        model (nn.Module): A recognizer with a ``cls_head`` of K classes.
        tau (float): Strength; 0 changes nothing.
        class_counts (Sequence[int]): Training videos of each class, (K,).

    Returns:
        RemovableHandle: its ``remove()`` restores the plain logits.
    """
    head = getattr(model, 'cls_head', None)
    if not isinstance(head, nn.Module):
        raise ConfigError(
            'adjust_logits: the model must have a cls_head, got '
            f'{type(model).__name__}'
        )
    if not 0 <= tau < math.inf:
        raise ValueError(
            f'adjust_logits: tau must be 0 or more and finite, got {tau}'
        )
    counts = list(class_counts)
    num_classes = getattr(head, 'num_classes', len(counts))
    sound = any(counts) and all(
        isinstance(n, Integral) and n >= 0 for n in counts
    )
    if len(counts) != num_classes or not sound:
        raise ValueError(
            f'adjust_logits: class_counts must be {num_classes} numbers of '
            f'training videos, one a class, got {counts}'
        )
    if tau and getattr(getattr(head, 'loss_cls', None), 'logit_adjustment', 0):
        print_log(
            'adjust_logits: the model was trained with logit adjustment '
            'already; its logits are now adjusted twice',
            logger='current',
            level=logging.WARNING,
        )
    shares = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    shift = tau * (shares / shares.sum()).log()  # (K,)

    def adjust(head: nn.Module, _: tuple, logits: Tensor) -> Optional[Tensor]:
        return None if head.training else logits - shift.to(logits)

    return head.register_forward_hook(adjust)
