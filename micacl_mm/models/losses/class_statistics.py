"""Weights and temperatures from the class counts of the training set."""

import torch
from torch import Tensor

WEIGHTS = ('inverse', 'inverse_sqrt', 'effective', 'none')
TEMPERATURES = ('global', 'per_class', 'constant')


def class_weights(counts: Tensor, kind: str, beta: float = 0.999) -> Tensor:
    r"""Weigh classes by how rare they are [ours].

    The mean weight of the classes that are present is 1.

    ``'inverse'`` is :math:`1 / n_c`, ``'inverse_sqrt'`` is
    :math:`1 / \sqrt{n_c}`, ``'effective'`` is the effective number
    :math:`(1 - \beta) / (1 - \beta^{n_c})` of `Cui et al.
    <https://arxiv.org/abs/1901.05555>`_, ``'none'`` is 1.

    Args:
        counts (Tensor): n, shape (K,).
        kind (str): One of the above.
        beta (float): For ``'effective'``. Defaults to 0.999.

    Returns:
        Tensor: shape (K,). A class that is absent gets 0.
    """
    counts = counts.to(torch.get_default_dtype())
    if kind == 'none':
        return torch.ones_like(counts)
    present = counts > 0
    n = counts.clamp(min=1)
    weights = {
        'inverse': lambda: 1 / n,
        'inverse_sqrt': lambda: n.rsqrt(),
        'effective': lambda: (1 - beta) / (1 - beta**n),
    }[kind]()
    weights = weights * present
    return weights * present.sum() / weights.sum()


def class_temperatures(counts: Tensor, base: float, mode: str) -> Tensor:
    r"""Temperature of the anchors of each class.

    ``'global'``, the same for all, is [paper]:
    :math:`\tau_0\,\mathrm{mean}_i (1 + n_i / \max n)`. ``'per_class'`` rises
    as a class gets rarer, :math:`\tau_0 (2 - n_c / \max n)` [ours, after a
    plot of the paper]. ``'constant'`` is :math:`\tau_0`.

    Args:
        counts (Tensor): n, shape (K,).
        base (float): :math:`\tau_0`.
        mode (str): One of the above.

    Returns:
        Tensor: shape (K,).
    """
    counts = counts.to(torch.get_default_dtype())
    if mode == 'constant':
        return torch.full_like(counts, base)
    share = counts / counts.max()
    if mode == 'global':
        return (base * (1 + share).mean()).expand(len(counts))
    return base * (2 - share)
