"""Whether two trainings came to the same, to the bit."""

import struct
from pathlib import Path
from typing import Any

import torch


def differences(found: Path, expected: Path) -> list[str]:
    """Compare the results of two trainings, to the bit."""
    told = [
        {path.name: path for path in folder.glob('*.pth')}
        for folder in (found, expected)
    ]
    if told[0].keys() != told[1].keys():
        return ['other checkpoints']
    different = []
    for name in told[0]:
        one, other = (
            torch.load(files[name], 'cpu', weights_only=True) for files in told
        )
        for part in sorted((one.keys() | other.keys()) - {'meta'}):
            if part == 'message_hub':
                continue  # holds the times; its numbers are in the history
            if not equal(one.get(part), other.get(part)):
                different.append(f'other {part}')
    history = [folder / 'history.json' for folder in (found, expected)]
    if history[0].read_bytes() != history[1].read_bytes():
        different.append('other losses or metrics')
    return different


def equal(one: Any, other: Any) -> bool:
    """Whether nested states are equal to the bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and _bytes(one) == _bytes(other)
    if isinstance(one, float):
        return struct.pack('d', one) == struct.pack('d', other)
    if isinstance(one, dict):
        same = one.keys() == other.keys()
        return same and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        same = len(one) == len(other)
        return same and all(map(equal, one, other))
    return one == other


def _bytes(tensor: torch.Tensor) -> bytes:
    """By these 0.0 is no -0.0, and a NaN is itself."""
    # Not compared by torch: that starts threads, which no fork outlives.
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
