"""A learned graph over instances or channels, and what runs on it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
