"""Random numbers that depend on a key and on nothing before."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(key: Sequence[int], devices: bool = False) -> None:
    """Seed the generators of Python, NumPy and PyTorch.

    Args:
        key (Sequence[int]): Any integers; each sequence has numbers of its
            own.
        devices (bool): Also seed the generators of GPUs. Defaults to False.
    """
    words = np.random.SeedSequence([number % 2**64 for number in key])
    state = words.generate_state(8)
    random.seed(state.tobytes())
    np.random.seed(state[:4])
    number = int(state[4]) << 32 | int(state[5])
    if devices:
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


@contextmanager
def kept_state() -> Iterator[None]:
    """Leave the generators of this process as they were."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
