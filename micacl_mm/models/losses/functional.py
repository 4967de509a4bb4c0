"""The contrastive term as a pure function of features and labels."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from torch import Tensor

from .fused_contrast import FusedContrast, Pairs

FORMS = ('log', 'ratio', 'out')
#: Least share of a class in a blended label that can make a positive.
LEAST_SHARE = 1e-15


def mccl(
    features: Tensor,
    labels: Tensor,
    keys: Optional[Tensor] = None,
    key_labels: Optional[Tensor] = None,
    *,
    offset: int = 0,
    scales: Sequence[int] = (1, 2, 4),
    temperature: Union[float, Tensor] = 0.07,
    weights: Optional[Tensor] = None,
    form: str = 'log',
    include_self: bool = False,
    constants: int = 0,
    pooled: bool = False,
) -> Tensor:
    r"""Multiscale category-aware contrastive loss.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_.

    At scale s the feature is cut into s groups, each contrasted by itself,
    or, where ``pooled``, reduced to the means of s neighbouring channels,
    with :math:`S_{ij} = \cos(z_i, z_j) / \tau_i`; P(i) are the others of the
    class of i, and the losses of groups and scales are averaged:

    .. math::
        \text{ratio:}\quad & -\frac1B \sum_i W_i
            \frac{\sum_{j \in P(i)} e^{S_{ij}}}{\sum_k e^{S_{ik}}} \\
        \text{log:}\quad & -\frac1B \sum_i W_i \log
            \frac{\sum_{j \in P(i)} e^{S_{ij}}}{\sum_k e^{S_{ik}}} \\
        \text{out:}\quad & -\frac1B \sum_i \frac{W_i}{|P(i)|}
            \sum_{j \in P(i)} \log \frac{e^{S_{ij}}}{\sum_k e^{S_{ik}}}

    The ratio, the average over scales 4, 2, 1 and the 1/B are [paper]; the
    cosine, the "out" form and the pooled scales are [author code]; the groups
    and the "log" form are [ours]. The last two forms are the "in" and "out"
    forms of `SupCon <https://arxiv.org/abs/2004.11362>`_.

    Labels of blended videos (mixup, cutmix) are distributions over classes.
    A pair is then of one class with probability :math:`p_{ij} = y_i \cdot
    y_j`: the sums over positives run over all keys with that weight, and in
    the log forms the term of an anchor is multiplied by the probability that
    it has a positive at all,
    :math:`1 - \sum_c y_{ic} \prod_{j \ne i} (1 - y_{jc})` [ours]. One-hot
    labels give exactly what classes give.

    Args:
        features (Tensor): Anchors, shape (B, D), of any length.
        labels (Tensor): Class of each anchor, shape (B,), or its distribution
            over classes, (B, C).
        keys (Tensor, optional): What the anchors are contrasted with, shape
            (K, D); the anchors themselves stand at rows ``offset`` to
            ``offset + B``. Defaults to None, the anchors.
        key_labels (Tensor, optional): The same of each key, (K,) or (K, C).
        offset (int): Row of the first anchor in ``keys``. Defaults to 0.
        scales (Sequence[int]): Numbers of groups. Defaults to (1, 2, 4).
        temperature (float or Tensor): One for all, or one an anchor (B,),
            without a gradient.
        weights (Tensor, optional): :math:`W_i`, shape (B,). Defaults to 1.
        form (str): ``'log'``, ``'ratio'`` or ``'out'``.
        include_self (bool): Count an anchor among its own positives and keys,
            as in the figure [paper]. Defaults to False [ours].
        constants (int): How many keys at the end need no gradient, such as
            features of the past, which saves its cost. Defaults to 0.
        pooled (bool): Scales are poolings over channels. Defaults to False.

    Returns:
        Tensor: A scalar. An anchor without a positive adds nothing to it, and
        without any positive pair it is exactly 0 with zero gradients. It can
        be differentiated once.

    Raises:
        ValueError: Unknown ``form``, D that a scale does not divide, or a
            temperature that wants a gradient.
    """
    if form not in FORMS:
        raise ValueError(f'mccl: form must be one of {FORMS}, got {form}')
    joint = keys is None or keys is features
    if joint:
        keys, key_labels = features, labels
    for scale in scales:
        if features.shape[1] % scale:
            raise ValueError(
                f'mccl: a feature of size {features.shape[1]} cannot be cut '
                f'into {scale} groups; choose scales that divide it'
            )
    hopeless = _without_positive(labels, key_labels) & (not include_self)
    factors = (~hopeless).to(features.dtype)
    if labels.dim() == 2 and form != 'ratio' and not include_self:
        chance = _chance_of_a_positive(labels, key_labels)
        factors = chance.masked_fill(hopeless, 0)
    if weights is not None:
        factors = factors * weights.to(features.dtype)
    if not isinstance(temperature, Tensor):
        temperature = features.new_full((), temperature)
    elif temperature.requires_grad:
        raise ValueError('mccl: the temperature cannot learn; detach it')
    pairs = Pairs(
        labels,
        key_labels,
        hopeless,
        factors,
        temperature.to(features.dtype).expand(len(features)),
        offset,
        form,
        include_self,
        constants,
    )

    def contrast(x: Tensor, y: Tensor, scales: Sequence[int]) -> Tensor:
        y = None if joint else y
        return FusedContrast.apply(x, y, pairs.weights, tuple(scales), pairs)

    if not pooled:
        return contrast(features, keys, scales)
    losses = [
        contrast(_pool(features, s), _pool(keys, s), (1,)) for s in scales
    ]
    return sum(losses) / len(scales)


def _pool(x: Tensor, scale: int) -> Tensor:
    """Average ``scale`` neighbouring channels: (B, D) to (B, D / scale)."""
    return x if scale == 1 else x.unflatten(1, (-1, scale)).mean(dim=-1)


def _without_positive(labels: Tensor, key_labels: Tensor) -> Tensor:
    """Which anchors no other key may be of one class with, (B,).

    In time and memory that grow with B + K, and without looking at values.
    """
    if labels.dim() == 1:
        ordered = key_labels.sort().values
        first = torch.searchsorted(ordered, labels)
        last = torch.searchsorted(ordered, labels, right=True)
        return last - first <= 1
    # Products of smaller shares could be too small for a float.
    possible = (labels > LEAST_SHARE).to(labels.dtype)  # (B, C)
    all_possible = (key_labels > LEAST_SHARE).to(labels.dtype)
    others = all_possible.sum(dim=0) - possible
    return (possible * others).sum(dim=1) == 0


def _chance_of_a_positive(labels: Tensor, key_labels: Tensor) -> Tensor:
    """Probability that any other key is of an anchor's class, (B,).

    ``labels`` (B, C) are rows of ``key_labels`` (K, C), all distributions.
    """
    logs, sure = _log_misses(key_labels)
    own_logs, own_sure = _log_misses(labels)
    missed = (logs.sum(0) - own_logs).exp()  # by all others, (B, C)
    missed = missed * (sure.sum(0) == own_sure)
    return 1 - (labels * missed).sum(dim=1)


def _log_misses(labels: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 - y), with 0 for an infinite one, and which are infinite."""
    misses = (1 - labels).clamp(min=0)
    sure = misses == 0
    return misses.masked_fill(sure, 1).log(), sure.long()
