"""Gathering over ranks with gradient."""

import torch
from torch import Tensor
from torch import distributed as dist


class _Gather(torch.autograd.Function):
    """All-gather along the first axis whose gradient reaches every rank."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        # Every rank's loss looks at this rank's rows: their sum comes back.
        grad = grad.contiguous()
        dist.all_reduce(grad)
        size = len(grad) // dist.get_world_size()
        return grad.narrow(0, dist.get_rank() * size, size)


def gather_with_grad(x: Tensor) -> Tensor:
    """Join the batches of all ranks, in the order of the ranks.

    Args:
        x (Tensor): shape (B, ...), the same on every rank, as MMEngine's
            samplers see to.

    Returns:
        Tensor: shape (world_size * B, ...).
    """
    return _Gather.apply(x)
