"""Whether two trainings came to the same, to the bit."""

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
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        same = one.keys() == other.keys()
        return same and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        same = len(one) == len(other)
        return same and all(map(equal, one, other))
    return one == other
