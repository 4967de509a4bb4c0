"""A learned graph over the instances or the channels of a bag."""

import torch
from torch import Tensor, nn


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
