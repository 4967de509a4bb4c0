"""The contrastive term as a pure function of features and labels."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from torch import Tensor

FORMS = ('log', 'ratio', 'out')
#: Shortest feature group that has a direction.
EPS = 1e-6


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
        pooled (bool): Scales are poolings over channels. Defaults to False.

    Returns:
        Tensor: A scalar. An anchor without a positive adds nothing to it, and
        without any positive pair it is exactly 0 with zero gradients.

    Raises:
        ValueError: Unknown ``form``, or D that a scale does not divide.
    """
    if form not in FORMS:
        raise ValueError(f'mccl: form must be one of {FORMS}, got {form}')
    for scale in scales:
        if features.shape[1] % scale:
            raise ValueError(
                f'mccl: a feature of size {features.shape[1]} cannot be cut '
                f'into {scale} groups; choose scales that divide it'
            )
    if keys is None:
        keys, key_labels = features, labels
    if labels.dim() == 1:
        shares = (labels[:, None] == key_labels).to(features.dtype)
    else:
        shares = labels @ key_labels.mT
    rows = torch.arange(offset, offset + len(labels), device=labels.device)
    own = rows[:, None] == torch.arange(len(keys), device=labels.device)
    shares = shares.masked_fill(own, float(include_self))  # (B, K)
    hopeless = ~shares.any(dim=1)
    factors = (~hopeless).to(features.dtype)
    if labels.dim() == 2 and form != 'ratio' and not include_self:
        factors = factors * _chance_of_a_positive(labels, key_labels)
    if weights is not None:
        factors = factors * weights
    # Anchors of factor 0 get terms and gradients that are finite.
    shares = shares.masked_fill(hopeless[:, None], 1)
    if form == 'out':
        tiny = torch.finfo(shares.dtype).tiny
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=tiny)
    else:
        shares = shares.log()
    hidden = own & ~hopeless[:, None] & (not include_self)
    if isinstance(temperature, Tensor):
        temperature = temperature[..., None]
    loss = 0
    for scale in scales:
        x = _directions(features, scale, pooled)  # (groups, B, d)
        y = x if keys is features else _directions(keys, scale, pooled)
        logits = x @ y.mT / temperature  # (groups, B, K)
        every = logits.masked_fill(hidden, -torch.inf).logsumexp(dim=-1)
        if form == 'out':
            terms = every - (logits * shares).sum(dim=-1)
        else:
            terms = every - (logits + shares).logsumexp(dim=-1)
        if form == 'ratio':
            terms = -terms.neg().exp()
        loss = loss + (terms * factors).mean()
    return loss / len(scales)


def _directions(x: Tensor, scale: int, pooled: bool) -> Tensor:
    """Unit vectors (groups, B, d) of features (B, D); of zeros they are 0."""
    if pooled:
        x = x.unflatten(1, (-1, scale)).mean(dim=-1)[None]
    else:
        x = x.unflatten(1, (scale, -1)).transpose(0, 1)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * (length > EPS) / length.clamp(min=EPS)


def _chance_of_a_positive(labels: Tensor, key_labels: Tensor) -> Tensor:
    """Probability that any other key is of an anchor's class, (B,).

    ``labels`` (B, C) are rows of ``key_labels`` (K, C), all distributions.
    """
    tiny = torch.finfo(labels.dtype).tiny
    own, every = ((1 - y).clamp(min=tiny).log() for y in (labels, key_labels))
    missed = (every.sum(dim=0) - own).exp()  # by all others, (B, C)
    return 1 - (labels * missed).sum(dim=1)
