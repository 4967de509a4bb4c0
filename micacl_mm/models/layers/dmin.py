"""Dynamic multi-instance normalization."""

import torch
from torch import Tensor, nn


class DMIN(nn.Module):
    r"""Dynamic multi-instance normalization of M3DFEL [kin].

    Mixes, for each bag, the statistics over its instances with those over the
    whole bag:

    .. math::
        \mu = a_1 \mu_{\mathrm{ins}} + a_2 \mu_{\mathrm{bag}}, \quad
        \sigma^2 = b_1 \sigma^2_{\mathrm{ins}} + b_2 \sigma^2_{\mathrm{bag}},
        \quad y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    where *ins* is taken over the M instances of each channel, *bag* over
    instances and channels, and a and b are softmaxes of two learned pairs;
    :math:`\sigma^2_{\mathrm{bag}}` is the mean of
    :math:`\sigma^2_{\mathrm{ins}}` plus the variance of
    :math:`\mu_{\mathrm{ins}}`, both over the channels.

    From `Rethinking the Learning Paradigm for Dynamic Facial Expression
    Recognition <https://arxiv.org/abs/2304.04544>`_. Computed in float32 at
    least: float16 cannot hold the slope of the root at epsilon, and a bag of
    equal instances would have no finite gradient.

    Args:
        channels (int): C, size of an instance feature.
        unbiased (bool): Divide the variance over the instances by M - 1
            [kin] instead of M; that of one instance is 0 either way.
            Defaults to False [ours].
        eps (float): Added to the variance. Defaults to 1e-5.
    """

    def __init__(
        self, channels: int, unbiased: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.unbiased = unbiased
        self.eps = eps
        self.mean_mix = nn.Parameter(torch.zeros(2))
        self.var_mix = nn.Parameter(torch.zeros(2))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, M, C) and return (N, M, C)."""
        dtype = torch.promote_types(x.dtype, self.weight.dtype)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        correction = int(self.unbiased and x.shape[1] > 1)
        var_ins, mean_ins = torch.var_mean(
            x, dim=1, correction=correction, keepdim=True
        )  # (N, 1, C)
        spread, mean_bag = torch.var_mean(
            mean_ins, dim=2, correction=0, keepdim=True
        )  # (N, 1, 1)
        var_bag = var_ins.mean(dim=2, keepdim=True) + spread  # (N, 1, 1)
        a, b = self.mean_mix.softmax(0), self.var_mix.softmax(0)
        mean = a[0] * mean_ins + a[1] * mean_bag  # (N, 1, C)
        var = b[0] * var_ins + b[1] * var_bag  # (N, 1, C)
        x = (x - mean) * torch.rsqrt(var + self.eps)  # (N, M, C)
        return (x * self.weight + self.bias).to(dtype)
