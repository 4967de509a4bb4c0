"""Cures a head of MMAction2 that cannot be trained in bfloat16."""

from functools import wraps

import torch
from mmaction.models.heads.base import BaseHead
from torch import Tensor


def let_heads_take_bfloat16() -> None:
    """Give heads float32 scores where autocast made them bfloat16.

    ``BaseHead.loss_by_feat`` hands the scores to NumPy for the accuracy in the
    log, and NumPy has no bfloat16: ``AmpOptimWrapper(dtype='bfloat16')`` stops
    at the first iteration. The cross-entropy is taken in float32 either way.
    A second call changes nothing.
    """
    stock = BaseHead.loss_by_feat
    if getattr(stock, 'takes_bfloat16', False):
        return

    @wraps(stock)
    def loss_by_feat(self: BaseHead, cls_scores: Tensor, *args, **kwargs):
        if cls_scores.dtype == torch.bfloat16:
            cls_scores = cls_scores.float()
        return stock(self, cls_scores, *args, **kwargs)

    loss_by_feat.takes_bfloat16 = True
    BaseHead.loss_by_feat = loss_by_feat
