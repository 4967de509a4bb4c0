"""The contract of all necks here: backbone output <-> a bag of instances.

A bag is features of shape (N, M, C), N videos of M instances, and optionally
one weight per instance, (N, M), each row summing to one, or a gate for each
of its channels, (N, M, C). This module is the only place that looks at the
shapes of video backbones; what heads take is in
:mod:`micacl_mm.models.recognizers`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

from torch import Tensor, cat

Features = Union[Tensor, Sequence]


class Bag(NamedTuple):
    """Instances of N videos."""

    features: Tensor  # (N, M, C)
    #: Importance of each instance, (N, M), rows sum to 1; or gates of its
    #: channels, (N, M, C), summing to 1 over them. None: equal weights.
    weights: Optional[Tensor] = None

    def pooled(self) -> Tensor:
        """Weighted mean over the instances, shape (N, C).

        The plain mean where the weights are gates of channels, which do not
        tell instances apart.
        """
        if self.weights is None or self.weights.dim() == 3:
            return self.features.mean(dim=1)
        return (self.weights.unsqueeze(-1) * self.features).sum(dim=1)


def flatten(x: Features) -> Tensor:
    """Turn what a backbone returns into one vector a clip, (B, C).

    Args:
        x (Tensor or Sequence): (B, C, ...) feature maps of four axes or more,
            averaged over all trailing ones; (B, C) vectors, taken as they
            are; a tuple of tensors (SlowFast's pathways), each pooled,
            channels joined from the last to the first; or a list of stages
            [patch tokens, class token] (MViT), of which the last class token
            counts.
    """
    if isinstance(x, Tensor):
        # (B, C, T) or (B, L, C)?
        if not x.is_floating_point() or x.dim() < 2 or x.dim() == 3:
            raise TypeError(
                'a neck takes floats (B, C) or (B, C, ..., H, W), or bags '
                '(N, M, C) of its num_instances M, got '
                f'{x.dtype} {tuple(x.shape)}; check what the backbone returns'
            )
        return x if x.dim() == 2 else x.flatten(2).mean(dim=-1)
    if isinstance(x, Sequence) and len(x) > 0:
        if isinstance(x[-1], Sequence):
            return flatten(x[-1][-1])
        # Fast before slow, as SlowFastHead joins them: its weights then fit.
        return cat([flatten(part) for part in reversed(x)], dim=1)
    raise TypeError(
        'a neck takes a tensor or a non-empty sequence of tensors, got '
        f'{type(x).__name__}; check what the backbone returns'
    )


def collect(x: Union[Features, Bag], num_instances: int) -> Bag:
    """Group a batch of clips into bags of M = ``num_instances``.

    Args:
        x (Tensor, Sequence or Bag): Output of a backbone over N * M clips,
            the clips of a video next to each other, as Recognizer3D lays them
            out. The crops of multi-crop testing become bags of their own. A
            bag, also as a tensor (N, M, C), passes through.
        num_instances (int): M.
    """
    if isinstance(x, Bag):
        return x
    if isinstance(x, Tensor) and x.dim() == 3 and x.shape[1] == num_instances:
        return Bag(flatten(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
    features = flatten(x)  # (N * M, C)
    if features.shape[0] % num_instances:
        raise ValueError(
            f'{features.shape[0]} clips cannot be grouped into bags of '
            f'num_instances={num_instances}; set num_instances of the neck to '
            'the clips that the pipeline samples from one video, and '
            'max_testing_views, if used, to a multiple of it'
        )
    return Bag(features.unflatten(0, (-1, num_instances)))


def release(features: Tensor) -> Tensor:
    """Give bag features (N, C) the shape of a feature map, (N, C, 1, 1, 1)."""
    return features[..., None, None, None]
