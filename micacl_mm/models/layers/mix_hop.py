"""Graph convolution that mixes the powers of an adjacency."""

import torch
from torch import Tensor, nn


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
        """Propagate.

        Args:
            x (Tensor): Features of V nodes, shape (N, V, ..., C).
            adjacency (Tensor): Non-negative graph, shape (V, V).

        Returns:
            Tensor: shape (N, V, ..., C).
        """
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
