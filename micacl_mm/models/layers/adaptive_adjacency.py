"""A learned graph over the instances of a bag."""

import torch
from torch import Tensor, nn


class AdaptiveAdjacency(nn.Module):
    r"""Adjacency learned from two node embeddings, the same for all bags.

    .. math:: A = \mathrm{softmax}(\mathrm{relu}(E_1 E_2)),
        \quad E_1 \in R^{M \times d}, E_2 \in R^{d \times M}

    The form is [review]; d = 10 is [kin].

    Args:
        num_instances (int): M, the nodes of the graph.
        embed_dims (int): d, the size of a node embedding. Defaults to 10.
    """

    def __init__(self, num_instances: int, embed_dims: int = 10) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.randn(num_instances, embed_dims))
        self.target = nn.Parameter(torch.randn(embed_dims, num_instances))

    def forward(self) -> Tensor:
        """Return A, shape (M, M), rows summing to 1."""
        return (self.source @ self.target).relu().softmax(dim=-1)
