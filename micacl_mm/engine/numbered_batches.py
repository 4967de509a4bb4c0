"""Batches that know their number, for a loader that asks for all at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader


class NumberedBatch(list):
    """Indices of the clips of a batch, and which batch of the epoch it is."""

    number = 0


class NumberedBatches:
    """A batch sampler whose batches know their number.

    Args:
        batches: The batch sampler.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[NumberedBatch]:
        for number, indices in enumerate(self.batches):
            batch = NumberedBatch(indices)
            batch.number = number
            yield batch

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'batches':
            raise AttributeError(name)
        return getattr(self.batches, name)


def install(
    fetcher: Callable[[Sequence[int]], list], loader: DataLoader
) -> None:
    """Let a loader get its clips by a fetcher.

    PyTorch asks data sets for whole batches, by ``__getitems__``, where they
    have it.

    Args:
        fetcher (Callable): From the indices of a batch to its samples.
        loader (DataLoader): One with batches.
    """
    loader.dataset.__getitems__ = fetcher
    if not isinstance(loader.batch_sampler, NumberedBatches):
        # Past DataLoader, which lets nobody replace it.
        batches = NumberedBatches(loader.batch_sampler)
        loader.__dict__['batch_sampler'] = batches
