"""Batches that know their number, for a loader that asks for all at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader


class NumberedBatch(list):
    """Indices of the clips of a batch, and which batch of the epoch it is."""

    number = 0


class NumberedBatches:
    """A batch sampler whose batches know their number.

    Args:
        batches: The batch sampler.
        endless (bool): Count on from pass to pass. Defaults to False.
    """

    def __init__(self, batches: Any, endless: bool = False) -> None:
        self.batches = batches
        self.endless = endless
        self.count = 0

    def __iter__(self) -> Iterator[NumberedBatch]:
        if not self.endless:
            self.count = 0
        for indices in self.batches:
            batch = NumberedBatch(indices)
            batch.number = self.count
            self.count += 1
            yield batch

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'batches':
            raise AttributeError(name)
        return getattr(self.batches, name)


def install(
    fetcher: Callable[[Sequence[int]], list],
    loader: DataLoader,
    endless: bool = False,
) -> None:
    """Let a loader get its clips by a fetcher.

    PyTorch asks data sets for whole batches, by ``__getitems__``, where they
    have it.

    Args:
        fetcher (Callable): From the indices of a batch to its samples.
        loader (DataLoader): One with batches.
        endless (bool): Whether batches are counted over all passes, for a
            loop without epochs. Defaults to False.
    """
    loader.dataset.__getitems__ = fetcher
    if not isinstance(loader.batch_sampler, NumberedBatches):
        # Past DataLoader, which lets nobody replace it.
        batches = NumberedBatches(loader.batch_sampler, endless)
        loader.__dict__['batch_sampler'] = batches


def restart(loop: IterBasedTrainLoop) -> None:
    """Let a loop by iterations ask its loader anew, from the first batch.

    It has done so when it was built, before anything could be installed, and
    its workers have begun.
    """
    loader = loop.dataloader
    if loader.num_workers:
        loop.dataloader_iterator._iterator._shutdown_workers()
    loader.batch_sampler.count = 0
    loader._iterator = None  # where persistent workers are kept
    for part in (loader.sampler, getattr(loader.batch_sampler, 'sampler', 0)):
        if isinstance(part, InfiniteSampler):  # it goes on where they are
            part.indices = part._indices_of_rank()
    loop.dataloader_iterator = type(loop.dataloader_iterator)(loader)
