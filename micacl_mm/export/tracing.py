"""A recognizer as a graph of torch.export."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmaction.models.recognizers import BaseRecognizer
from torch import Tensor
from torch.export import Dim, ExportedProgram

from .checks import ExportError, draw_frames, reason
from .exportable_recognizer import ExportableRecognizer

#: The one axis that may have any length.
DYNAMIC = {'frames': {0: Dim('batch', min=1)}}
#: What torch warns of on its own account, with nothing for a user to do.
_NOISE = ('The tensor attributes', 'torch.meshgrid', '`isinstance.treespec')


def trace(
    model: BaseRecognizer,
    shape: Sequence[int],
    dtype: torch.dtype = torch.uint8,
) -> ExportedProgram:
    """Trace a recognizer from frames to scores, with any batch size.

    Args:
        model (BaseRecognizer): It is not changed.
        shape (Sequence[int]): Of one video, see :func:`export_onnx`.
        dtype (torch.dtype): Of the frames. Defaults to torch.uint8.

    Returns:
        ExportedProgram: from ``frames`` (N, *shape) to scores (N, K).

    Raises:
        ExportError: torch.export cannot follow the model.
        TypeError: see :class:`ExportableRecognizer`.
        ValueError: As there, or the model cannot take such frames.
    """
    scores = ExportableRecognizer(model)
    # With one video torch would take 1 for a constant.
    frames = draw_frames(2, shape, dtype)
    _try(scores, frames)
    try:
        with quiet(), no_fast_path(), torch.no_grad():
            program = torch.export.export(
                scores, (frames,), dynamic_shapes=DYNAMIC, strict=False
            )
    # The tracer raises whatever a model it cannot follow makes it raise.
    except Exception as error:
        why = reason(error)
        if 'Constraints violated' in why:
            why = 'it takes the number of videos for a constant'
        raise ExportError(
            f'torch.export cannot follow this model: {why}'
        ) from error
    for node in program.graph.nodes:
        # It names folders of this machine.
        node.meta.pop('stack_trace', None)
    return program


@torch.no_grad()
def _try(scores: ExportableRecognizer, frames: Tensor) -> None:
    """Have the model itself say what is wrong with the frames."""
    try:
        scores(frames)
    # Layers raise whatever they like on wrong shapes.
    except Exception as error:
        raise ValueError(
            'export: the model does not take frames of shape '
            f'{tuple(frames.shape[1:])} a video: {reason(error)}'
        ) from error


@contextmanager
def no_fast_path() -> Iterator[None]:
    """Keep nn.MultiheadAttention from being one opaque operator."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings that are torch's own affair."""
    with warnings.catch_warnings():
        for message in _NOISE:
            warnings.filterwarnings('ignore', message=message)
        yield
