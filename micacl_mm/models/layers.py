"""Small parts that the necks are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedAttention(nn.Module):
    r"""Importance of each instance, by gated attention.

    .. math:: w = \mathrm{softmax}_m\, v^T(\tanh(V h_m) \odot \sigma(U h_m))

    From `Attention-based Deep Multiple Instance Learning
    <https://arxiv.org/abs/1802.04712>`_, equation 9; its place here is [ours].

    Args:
        in_channels (int): C, size of an instance feature.
        hidden_channels (int): Size of the gate. Defaults to 128.
    """

    def __init__(self, in_channels: int, hidden_channels: int = 128) -> None:
        super().__init__()
        self.value = nn.Linear(in_channels, hidden_channels)
        self.gate = nn.Linear(in_channels, hidden_channels)
        self.score = nn.Linear(hidden_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map instances (N, M, C) to weights (N, M) that sum to 1."""
        hidden = self.value(x).tanh() * self.gate(x).sigmoid()
        return self.score(hidden).squeeze(-1).softmax(dim=-1)


class InstanceAttention(nn.Module):
    """Multi-head self-attention over instances [paper], 8 x 128 [kin].

    Args:
        channels (int): C, in and out; a multiple of ``num_heads``.
        num_heads (int): Heads. Defaults to 8.
        qkv_only (bool): Leave out the biases and the output projection
            [kin]. Defaults to False [ours].
    """

    def __init__(
        self, channels: int, num_heads: int = 8, qkv_only: bool = False
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=not qkv_only)
        self.project = (
            nn.Identity() if qkv_only else nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Let the instances (N, M, C) attend to each other: (N, M, C)."""
        query, key, value = self._split(x)  # each (N, h, M, C/h)
        out = F.scaled_dot_product_attention(query, key, value)
        return self.project(out.transpose(1, 2).flatten(2))  # (N, M, C)

    def weights(self, x: Tensor) -> Tensor:
        """Who attends to whom in (N, M, C): (N, h, M, M), rows sum to 1.

        The fused attention of :meth:`forward` keeps them to itself.
        """
        query, key, _ = self._split(x)
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        return qkv.permute(2, 0, 3, 1, 4).unbind()


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


class GatedRecurrence(nn.Module):
    r"""Weighted bidirectional recurrence, attention and LayerNorm.

    The cell is an LSTM with a further gate that carries the weight of the
    instance, the same in all layers:

    .. math::
        i, f, o, s &= \sigma(W x_t + U h_{t-1}), \quad
        g = \tanh(W x_t + U h_{t-1}) \\
        c_t &= f \odot c_{t-1} + i \odot g \odot s \odot w_t, \quad
        h_t = o \odot \tanh(c_t)

    W and U differ for each gate and have a bias each. Each direction is a
    stack of its own; the two are joined after the last layer. Multi-head
    attention and LayerNorm follow, without a residual. All of it is
    [author code].

    Input projections are one product a layer, over all instances and both
    directions; it takes 0.8 times as long as a bidirectional ``nn.LSTM`` of
    four layers.

    Args:
        in_channels (int): C, size of an instance feature.
        hidden_channels (int): H, size of a direction.
        num_layers (int): Layers of each direction. Defaults to 4
            [author code].
        num_heads (int): Heads of the attention, a divisor of 2 H. Defaults
            to 4 [author code].
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int = 4,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        sizes = [in_channels] + [hidden_channels] * (num_layers - 1)
        self.layers = nn.ModuleList(
            _Layer(size, hidden_channels) for size in sizes
        )
        self.attention = nn.MultiheadAttention(
            2 * hidden_channels, num_heads, batch_first=True
        )
        self.norm = nn.LayerNorm(2 * hidden_channels)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Map x (N, M, C) and gates (N, M, 1) or (N, M, H) to (N, M, 2 H)."""
        h, gates = _both_ways(x), _both_ways(weights)  # (2, M, N, .)
        for layer in self.layers:
            h = layer(h, gates)  # (2, M, N, H)
        ahead, back = h.unbind()
        h = torch.cat([ahead, back.flip(0)], dim=-1).transpose(0, 1)
        out, _ = self.attention(h, h, h, need_weights=False)
        return self.norm(out)  # (N, M, 2 H)


class _Layer(nn.Module):
    """A layer of both directions; the gates in the order i, f, o, s, g."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        rows = 5 * hidden_channels
        self.weight_ih = nn.Parameter(torch.empty(2, in_channels, rows))
        self.weight_hh = nn.Parameter(torch.empty(2, hidden_channels, rows))
        self.bias_ih = nn.Parameter(torch.empty(2, 1, rows))
        self.bias_hh = nn.Parameter(torch.empty(2, 1, rows))
        # As nn.Linear starts.
        for weight, bias in (
            (self.weight_ih, self.bias_ih),
            (self.weight_hh, self.bias_hh),
        ):
            bound = weight.shape[1] ** -0.5
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Map (2, M, N, C) to (2, M, N, H), one step after another."""
        steps = x.shape[1]
        size = self.weight_hh.shape[1]
        # What does not depend on the step before, in one product.
        ahead = torch.baddbmm(
            self.bias_ih + self.bias_hh, x.flatten(1, 2), self.weight_ih
        ).unflatten(1, (steps, -1))  # (2, M, N, 5 H)
        h = c = ahead.new_zeros(2, x.shape[2], size)
        hidden = []
        for t in range(steps):
            gates = torch.baddbmm(ahead[:, t], h, self.weight_hh)
            i, f, o, s = gates[..., : 4 * size].sigmoid().chunk(4, dim=-1)
            g = gates[..., 4 * size :].tanh()
            c = f * c + i * g * s * weights[:, t]
            h = o * c.tanh()
            hidden.append(h)
        return torch.stack(hidden, dim=1)


def _both_ways(x: Tensor) -> Tensor:
    """Turn (N, M, C) into (2, M, N, C), in order and reversed."""
    x = x.transpose(0, 1)
    return torch.stack([x, x.flip(0)])


class AdaptiveAdjacency(nn.Module):
    r"""Adjacency learned from two node embeddings, the same for all bags.

    .. math:: A = \mathrm{softmax}(\mathrm{relu}(E_1 E_2)),
        \quad E_1 \in R^{V \times d}, E_2 \in R^{d \times V}

    The form is [review] and [author code].

    Args:
        num_nodes (int): V, the nodes of the graph.
        embed_dims (int): d, the size of a node embedding.
    """

    def __init__(self, num_nodes: int, embed_dims: int) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.randn(num_nodes, embed_dims))
        self.target = nn.Parameter(torch.randn(embed_dims, num_nodes))

    def forward(self) -> Tensor:
        """Return A, shape (V, V), rows summing to 1."""
        return (self.source @ self.target).relu().softmax(dim=-1)


class MixHop(nn.Module):
    r"""Mix-hop propagation over the nodes of a graph [author code].

    .. math::
        A' = D^{-1} (A + I), \quad H_0 = X, \quad
        H_k = a X + (1 - a) A' H_{k-1}, \quad
        \mathrm{out} = W [H_0; \dots; H_K]

    Args:
        channels (int): C, in and out.
        depth (int): K, the hops. Defaults to 1 [author code].
        alpha (float): a, the share of the input kept at each hop. Defaults to
            0.7 [author code].
    """

    def __init__(
        self, channels: int, depth: int = 1, alpha: float = 0.7
    ) -> None:
        super().__init__()
        self.depth = depth
        self.alpha = alpha
        self.project = nn.Linear((depth + 1) * channels, channels)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Propagate x (N, V, ..., C) along a non-negative graph (V, V)."""
        graph = adjacency + torch.eye(
            len(adjacency), dtype=adjacency.dtype, device=adjacency.device
        )
        graph = graph / graph.sum(dim=-1, keepdim=True)  # (V, V)
        hops = [x]
        for _ in range(self.depth):
            spread = graph.to(x.dtype) @ hops[-1].flatten(2)
            spread = spread.reshape(x.shape)  # (N, V, ..., C)
            hops.append(self.alpha * x + (1 - self.alpha) * spread)
        return self.project(torch.cat(hops, dim=-1))


class MultiscaleConv(nn.Module):
    """Sum of depthwise 1-D convolutions over neighbouring instances.

    The multiscale convolution is [paper]; the widths {1, 3, M}, depthwise,
    zero-padded to keep M and summed, are [ours].

    Args:
        channels (int): C, in and out.
        kernel_sizes (tuple[int]): Widths in instances; equal ones count
            once.
    """

    def __init__(self, channels: int, kernel_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, size, groups=channels)
            for size in sorted(set(kernel_sizes))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, M, C) along M and return (N, M, C)."""
        x = x.transpose(1, 2)  # (N, C, M)
        # Together they are one convolution: fewer steps, and none of width 1,
        # which is slow on the CPU.
        extras = [conv.kernel_size[0] - 1 for conv in self.convs]
        # An even width looks one instance further ahead than back.
        back, ahead = (max(extras) // 2, (max(extras) + 1) // 2)
        weight = sum(
            F.pad(conv.weight, (back - e // 2, ahead - (e + 1) // 2))
            for conv, e in zip(self.convs, extras, strict=True)
        )  # (C, 1, width)
        bias = sum(conv.bias for conv in self.convs)
        padded = F.pad(x, (back, ahead))
        out = F.conv1d(padded, weight, bias, groups=len(bias))  # (N, C, M)
        return out.transpose(1, 2)
