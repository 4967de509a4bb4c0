"""Features of past batches, kept to be contrasted with."""

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor, nn


class FeatureQueue(nn.Module):
    """A ring buffer of features and labels, the oldest leave first.

    The memory of `MoCo <https://arxiv.org/abs/1911.05722>`_ and
    `XBM <https://arxiv.org/abs/1912.06798>`_, as buffers, which the checkpoint
    keeps. A checkpoint without a queue, or with one of another size, leaves
    this one empty, with a warning.

    Args:
        size (int): Q, features that it holds.
        channels (int): D.
        num_classes (int): K.
    """

    def __init__(self, size: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer('features', torch.zeros(size, channels))
        # Distributions over the classes.
        self.register_buffer('labels', torch.zeros(size, num_classes))
        # Filled slots and the next one to write, also kept as numbers:
        # reading a buffer makes a GPU wait.
        self.register_buffer('position', torch.zeros(2, dtype=torch.long))
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._move(0, 0)

    def _move(self, filled: int, write: int) -> None:
        self._filled, self._next = filled, write
        # Assigning numbers would copy from the host, which makes a GPU wait.
        self.position[0].fill_(filled)
        self.position[1].fill_(write)

    def __len__(self) -> int:
        return self._filled

    # Compilers would make a new graph of every position.
    @torch.compiler.disable
    def contents(self) -> tuple[Tensor, Tensor]:
        """Return features (n, D) and labels (n, K), without empty slots."""
        return self.features[: self._filled], self.labels[: self._filled]

    @torch.compiler.disable
    @torch.no_grad()
    def push(self, features: Tensor, labels: Tensor) -> None:
        """Take in features (n, D) and labels (n, K), at most the last Q."""
        new, write = min(len(features), self.size), self._next
        head = min(new, self.size - write)  # before the ring starts anew
        for buffer, values in (
            (self.features, features),
            (self.labels, labels),
        ):
            values = values[len(values) - new :]
            buffer[write : write + head] = values[:head]
            buffer[: new - head] = values[head:]
        filled = min(self.size, self._filled + new)
        self._move(filled, (write + new) % self.size)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args, **kwargs
    ) -> None:
        own = dict(self.named_buffers())
        found = {name: state_dict.get(prefix + name) for name in own}
        fits = all(
            value is not None and value.shape == own[name].shape
            for name, value in found.items()
        )
        if not fits:
            kept = found['features']
            what = 'no queue' if kept is None else f'one of {len(kept)}'
            print_log(
                f'FeatureQueue: queue_size={self.size}, but the checkpoint '
                f'holds {what}, or of other features or classes; it starts '
                'empty and fills again',
                'current',
                logging.WARNING,
            )
            self.clear()
            state_dict.update({prefix + name: own[name] for name in own})
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._filled, self._next = self.position.tolist()
