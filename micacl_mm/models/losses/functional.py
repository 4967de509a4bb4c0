"""The contrastive term as a pure function of features and labels."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from torch import Tensor
from torch.nn import functional as F

from .fused_contrast import EPS, FusedContrast, Pairs

FORMS = ('log', 'ratio', 'out')
#: Most pairs that autograd goes through as fast as the fused form.
FEW_PAIRS = 16**2
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
    fused: Optional[bool] = None,
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
        temperature (float or Tensor): One for all, or one an anchor (B,).
        weights (Tensor, optional): :math:`W_i`, shape (B,). Defaults to 1.
        form (str): ``'log'``, ``'ratio'`` or ``'out'``.
        include_self (bool): Count an anchor among its own positives and keys,
            as in the figure [paper]. Defaults to False [ours].
        constants (int): How many keys at the end need no gradient, such as
            features of the past, which saves its cost. Defaults to 0.
        fused (bool, optional): Compute value and gradient in one pass over
            blocks of the similarities (:class:`FusedContrast`: faster, memory
            not quadratic, differentiable once) or let autograd keep all of
            them. Equal to rounding. Defaults to None, what is faster; autograd
            where the temperature wants a gradient.
        pooled (bool): Scales are poolings over channels. Defaults to False.

    Returns:
        Tensor: A scalar. An anchor without a positive adds nothing to it, and
        without any positive pair it is exactly 0 with zero gradients.

    Raises:
        ValueError: Unknown ``form``, or D that a scale does not divide.
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
    pairs = Pairs(
        labels,
        key_labels,
        hopeless,
        factors,
        torch.as_tensor(
            temperature, dtype=features.dtype, device=features.device
        ).expand(len(features)),
        offset,
        form,
        include_self,
        constants,
    )
    if fused is None:
        few = len(features) * len(keys) <= FEW_PAIRS
        fused = not (few or pairs.temperature.requires_grad)

    def contrast(x: Tensor, y: Tensor, scales: Sequence[int]) -> Tensor:
        if not fused:
            return _contrast_all(x, y, scales, pairs)
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


def _contrast_all(
    features: Tensor, keys: Tensor, scales: Sequence[int], pairs: Pairs
) -> Tensor:
    """The same by autograd, with whole matrices."""
    rows = slice(0, len(features))
    shares = pairs.shares(rows).to(features.dtype)  # (B, K)
    candidates = torch.ones_like(shares, dtype=torch.bool)
    pairs.own(candidates, rows).fill_(pairs.include_self)
    total = features.new_zeros(())
    for scale in scales:
        anchors = _groups(features, scale) / pairs.temperature[:, None]
        logits = anchors @ _groups(keys, scale).mT  # (s, B, K)
        terms = _terms(logits, shares, candidates, pairs)  # (s, B)
        total = total + (terms * pairs.weights).mean()
    return total / len(scales)


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


def _groups(x: Tensor, scale: int) -> Tensor:
    """Cut (B, D) into ``scale`` unit-length groups, (s, B, D / s)."""
    groups = x.unflatten(1, (scale, -1)).transpose(0, 1)  # (s, B, D / s)
    # A group of zeros has no direction: it stays zero and gets no gradient,
    # where a plain normalisation would divide the gradient by its epsilon.
    visible = groups.detach().norm(dim=-1, keepdim=True) > EPS
    return F.normalize(groups, dim=-1, eps=EPS) * visible


def _terms(
    logits: Tensor, shares: Tensor, candidates: Tensor, pairs: Pairs
) -> Tensor:
    """Loss of each anchor, (s, B), from logits (s, B, K).

    ``shares`` (B, K) says how much of a positive each key is, 0 to 1.

    Rows without a positive are kept finite by taking all keys on both sides;
    the caller multiplies them by zero.
    """
    hopeless = pairs.hopeless[:, None]
    shares = shares + hopeless
    barred = ~(candidates | hopeless)
    every = logits.masked_fill(barred, -torch.inf).logsumexp(-1)
    if pairs.form == 'out':
        return every - (logits * shares).sum(-1) / shares.sum(-1)
    some = (logits + shares.log()).logsumexp(-1)
    return every - some if pairs.form == 'log' else -(some - every).exp()
