"""From what an image model returns to one vector a frame."""

from typing import Any, Optional

from torch import Tensor, nn

from .image_models import is_timm

#: Letters of the axes, of which B and C stay and the others are averaged.
SHAPES = ('NCHW', 'NHWC', 'NLC', 'NCL')


def one_vector(
    x: Any, frames: int, model: nn.Module, feature_shape: Optional[str]
) -> Tensor:
    """Reduce the output of an image model.

    Args:
        x (Tensor or Sequence): Output of ``model``; of a sequence of stages
            the last one counts.
        frames (int): N, the images that went in.
        model (nn.Module): The image model.
        feature_shape (str, optional): One of ``SHAPES``; None follows the
            rules of :class:`FrameBackbone`.

    Returns:
        Tensor: shape (N, C).

    Raises:
        TypeError: ``x`` is no tensor and no flat sequence of them.
        ValueError: ``x`` is not one feature a frame, or its axes are unclear.
    """
    name = type(model).__name__
    x = _last_stage(x, name)
    if x.dim() < 2 or x.shape[0] != frames:
        raise ValueError(
            f'FrameBackbone: {name} must return one feature for each of '
            f'{frames} frames, got shape {tuple(x.shape)}; it may join frames '
            'or images, which only a video recognizer of its own can use'
        )
    if x.dim() == 2:
        return x
    axes = feature_shape or _default_axes(x, model)
    if axes is None or len(axes) != x.dim():
        raise ValueError(
            f'FrameBackbone: the axes of shape {tuple(x.shape)}, which {name} '
            f'returns, are unclear with feature_shape={feature_shape!r}; set '
            f'feature_shape to one of {SHAPES}, or make the model pool'
        )
    return x.mean(dim=[i for i, axis in enumerate(axes) if axis in 'HWL'])


def _last_stage(x: Any, name: str) -> Tensor:
    if isinstance(x, (tuple, list)) and x:
        x = x[-1]
    if isinstance(x, (tuple, list)) and x:
        raise TypeError(
            f'FrameBackbone: of the last stage {name} returns {len(x)} '
            'outputs, of which no rule says what counts, as class and '
            'distillation token; use a model that returns one tensor a stage'
        )
    if not isinstance(x, Tensor):
        raise TypeError(
            f'FrameBackbone: {name} must return a tensor or a non-empty '
            f'sequence of them, got {type(x).__name__}; check its options for '
            'what it returns, such as out_indices'
        )
    return x


def _default_axes(x: Tensor, model: nn.Module) -> Optional[str]:
    if x.dim() == 4 and not is_timm(model):  # timm's may be channels last
        return 'NCHW'
    if x.dim() == 3 and getattr(model, 'out_type', None) == 'raw':
        return 'NLC'
    return None
