"""Functions that take known amounts of memory, for a process of its own."""

import torch

MIB = 2**20


def allocate(held=0, taken=0, freed=0):
    """Hold some before, take some, and take and free some before that."""
    before = torch.ones(held * MIB, dtype=torch.uint8)

    def run():
        torch.ones(freed * MIB, dtype=torch.uint8)
        now = torch.ones(taken * MIB, dtype=torch.uint8)
        return before, now

    return run


def fail():
    raise ValueError('nothing to measure here')
