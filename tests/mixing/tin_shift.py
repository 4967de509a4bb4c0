"""The operator of TIN that only the compiled mmcv has, as a plain loop."""

import torch
from torch import Tensor


def tin_shift(x: Tensor, shift: Tensor) -> Tensor:
    """Shift groups of channels along time, zeros coming in.

    Args:
        x (Tensor): shape (N, T, C, H * W).
        shift (Tensor): Steps of each group of channels, shape (N, G).
    """
    groups = x.unflatten(2, (shift.shape[1], -1))  # (N, T, G, C / G, H * W)
    out = torch.zeros_like(groups)
    times = range(x.shape[1])
    for n, steps in enumerate(shift.tolist()):
        for g, step in enumerate(steps):
            for t in times:
                if t + step in times:
                    out[n, t + step, g] = groups[n, t, g]
    return out.flatten(2, 3)
