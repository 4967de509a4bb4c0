"""A recognizer as one function from frames to scores, and as a graph."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.models.heads import BaseHead
from mmaction.models.recognizers import BaseRecognizer
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from micacl_mm.apis.loading import first_line
from micacl_mm.models import BagDataPreprocessor, FrameBackbone

#: Format of the data preprocessor -> axis of the channels.
_CHANNELS = {'NCHW': -3, 'NCTHW': -4}

#: The one axis that may have any length.
DYNAMIC = {'frames': {0: Dim('batch', min=1)}}


class ExportError(RuntimeError):
    """A model that cannot be exported, or a file with other scores."""


class ExportableRecognizer(nn.Module):
    """All that ``test_step`` computes, from tensor to tensor.

    ``test_step`` takes lists and gives objects, which no exported graph can.
    This has the data preprocessor's arithmetic, backbone, neck, head and the
    mean over clips in one ``forward``. It works on a copy of the model, on
    the CPU and in eval mode; ``max_testing_views`` and ``chunk_size``, which
    save memory and change no score, are dropped from it.

    Args:
        model (BaseRecognizer): Any recognizer of frames or clips.

    Shapes:
        Frames as the test pipeline packs them, (N, views, C, T, H, W) or
        (N, views, C, H, W), values 0 to 255, become scores (N, K).

    Raises:
        TypeError: No recognizer with a head that gives scores, or a data
            preprocessor that is not known here.
        ValueError: ``average_clips`` of the head is None.

    Examples:
        >>> scores = ExportableRecognizer(model)
        >>> scores(torch.zeros(2, 4, 3, 4, 112, 112, dtype=torch.uint8)).shape
        torch.Size([2, 7])
    """

    def __init__(self, model: BaseRecognizer) -> None:
        super().__init__()
        _check(model)
        self.model = _plain_copy(model)

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (N, views, C, ...) to scores (N, K)."""
        x = self._preprocess(frames)  # (N, views', C, ...)
        feats, kwargs = self.model.extract_feat(x, test_mode=True)
        head = self.model.cls_head
        scores = head(feats, **kwargs)  # (N * views'', K)
        views = scores.shape[0] // frames.shape[0]
        return head.average_clip(scores, num_segs=views)  # (N, K)

    def _preprocess(self, frames: Tensor) -> Tensor:
        """Do what ActionDataPreprocessor does to a batch, but the stacking.

        Its own code cannot be traced: it takes a list and looks for padding
        by the values of tensors.
        """
        stock = self.model.data_preprocessor
        mean = getattr(stock, 'mean', None)
        if mean is not None and frames.dim() != mean.dim() + 2:
            raise ValueError(
                'ExportableRecognizer: frames must have '
                f'{mean.dim() + 2} axes, (videos, views, channels, ...) in '
                f'the form {stock.format_shape}, got shape '
                f'{tuple(frames.shape)}'
            )
        if stock.to_rgb:
            frames = frames.flip(_CHANNELS[stock.format_shape])
        if mean is not None:
            frames = (frames - mean) / stock.std
        elif stock.to_float32:
            frames = frames.float()
        if isinstance(stock, BagDataPreprocessor):
            return stock._join(frames)
        return frames


def _check(model: Any) -> None:
    """Refuse what would give something else than ``test_step``."""
    head = getattr(model, 'cls_head', None)
    scored = getattr(type(head), 'predict_by_feat', None)
    if (
        not isinstance(model, BaseRecognizer)
        or scored is not BaseHead.predict_by_feat
    ):
        raise TypeError(
            'ExportableRecognizer: model must be a recognizer, its head one '
            'that gives scores of classes, such as I3DHead, got '
            f'{type(model).__name__} with {type(head).__name__}'
        )
    if head.average_clips not in ('prob', 'score'):
        raise ValueError(
            f'ExportableRecognizer: average_clips of {type(head).__name__} '
            f"must be 'prob' or 'score', got {head.average_clips!r}; set "
            "cls_head.average_clips='prob'"
        )
    stock = model.data_preprocessor
    known = type(stock) in (ActionDataPreprocessor, BagDataPreprocessor)
    if not known or stock.format_shape not in _CHANNELS:
        raise TypeError(
            'ExportableRecognizer: data_preprocessor must be an '
            'ActionDataPreprocessor or a BagDataPreprocessor with '
            f'format_shape in {tuple(_CHANNELS)}, got {type(stock).__name__}'
            f' with {getattr(stock, "format_shape", None)!r}'
        )


def _plain_copy(model: BaseRecognizer) -> BaseRecognizer:
    """Copy a model without what only serves to save memory or to watch."""
    model = copy.deepcopy(model).cpu().eval()
    test_cfg = dict(model.test_cfg or {})
    # Stock code then takes one video at a time.
    test_cfg.pop('max_testing_views', None)
    model.test_cfg = test_cfg or None
    for module in model.modules():
        if isinstance(module, FrameBackbone):
            # The number of chunks would fix the size of the batch.
            module.chunk_size = None
    return model


def draw_frames(
    batch: int, shape: Sequence[int], dtype: torch.dtype = torch.uint8
) -> Tensor:
    """Noise in the range of pixels, (batch, *shape), always the same.

    Frames differ in brightness and colour: plain noise gives all videos the
    same mean, and a model that mixed them up would not be found out.
    """
    generator = torch.Generator().manual_seed(batch)
    bright = torch.rand(batch, *shape[:-2], 1, 1, generator=generator)
    noise = torch.rand(batch, *shape, generator=generator)
    return (255 * bright * noise).to(dtype)


def trace(
    model: BaseRecognizer,
    shape: Sequence[int],
    dtype: torch.dtype = torch.uint8,
) -> ExportedProgram:
    """Trace a recognizer from frames (N, *shape) to scores (N, K), any N.

    Raises:
        ExportError: torch.export cannot follow the model.
        TypeError: see :class:`ExportableRecognizer`.
        ValueError: As there, or the model cannot take such frames.
    """
    scores = ExportableRecognizer(model)
    # With one video torch would take 1 for a constant.
    frames = draw_frames(2, shape, dtype)
    try:
        with torch.no_grad():
            scores(frames)
    except Exception as error:  # whatever layers raise on wrong shapes
        raise ValueError(
            'export: the model does not take frames of shape '
            f'{tuple(shape)} a video: {first_line(error)}'
        ) from error
    # nn.MultiheadAttention's fast path is one opaque operator.
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(
                scores, (frames,), dynamic_shapes=DYNAMIC, strict=False
            )
    except Exception as error:  # whatever a model makes the tracer raise
        why = first_line(error)
        if 'Constraints violated' in why:
            why = 'it takes the number of videos for a constant'
        raise ExportError(
            f'torch.export cannot follow this model: {why}'
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    for node in program.graph.nodes:
        # It names folders of this machine.
        node.meta.pop('stack_trace', None)
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of torch about itself."""
    with warnings.catch_warnings():
        for text in ('The tensor attr', 'torch.meshgrid', '`isinstance.tree'):
            warnings.filterwarnings('ignore', message=text)
        yield
