"""Depthwise convolutions of several widths along the instances."""

from torch import Tensor, nn
from torch.nn import functional as F


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
