"""Frames or clips through a backbone in chunks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Optional

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_in_chunks(
    run: Callable[[Tensor], Any],
    model: nn.Module,
    x: Tensor,
    sizes: list[int],
    recompute: bool,
) -> Any:
    """Run ``run``, which calls ``model``, on one chunk after the other.

    Args:
        run (Callable): From (n, ...) to features (n, C, ...), also several in
            tuples and lists.
        model (nn.Module): Its BatchNorm layers move their running
            statistics as far as with one chunk.
        x (Tensor): shape (N, ...).
        sizes (list[int]): Rows a chunk, N in all.
        recompute (bool): Keep no activations for the backward pass.
    """

    def run_again_later(chunk: Tensor) -> Any:
        return checkpoint(
            run,
            chunk,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _same_statistics(model)),
        )

    step = run_again_later if recompute else run
    with _shared_momentum(model, len(sizes)):
        return _join([step(chunk) for chunk in x.split(sizes)])


def _join(parts: Sequence[Any]) -> Any:
    """Join what the chunks gave: tensors, also in tuples and lists."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return type(parts[0])(map(_join, zip(*parts, strict=True)))


def even_sizes(total: int, limit: Optional[int], unit: int) -> list[int]:
    """Sizes of the fewest chunks of ``total`` rows, as equal as can be.

    A short last chunk would weigh as much in BatchNorm as a long one. Of
    ``unit`` rows that stay together, at most ``limit`` are in a chunk.
    """
    units = total // unit
    chunks = -(-total // (limit or total))
    size, longer = divmod(units, chunks)
    return [(size + (i < longer)) * unit for i in range(chunks)]


@contextmanager
def _shared_momentum(model: nn.Module, chunks: int) -> Iterator[None]:
    """Let the running statistics forget in all chunks what they do in one.

    n updates with momentum 1 - (1 - m)^(1/n) keep (1 - m) of the old value. A
    momentum of None is the mean of all updates, and right as it is.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [norm.momentum for norm in norms]
    for norm, momentum in zip(norms, kept, strict=True):
        if momentum is not None and chunks > 1:
            norm.momentum = 1 - (1 - momentum) ** (1 / chunks)
    try:
        yield
    finally:
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum


@contextmanager
def _same_statistics(model: nn.Module) -> Iterator[None]:
    """Keep what runs within it out of BatchNorm's running statistics."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [(m.momentum, m.num_batches_tracked) for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
