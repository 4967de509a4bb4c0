"""Whether a written file gives the scores of the model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmaction.models.recognizers import BaseRecognizer
from mmaction.structures import ActionDataSample
from torch import Tensor

#: Largest difference of a score that is accepted.
TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """A model that cannot be exported, or a file with other scores."""


class Exported(NamedTuple):
    """A file that was written."""

    path: Path
    #: The largest difference of a score from that of ``test_step``.
    max_difference: float


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


@torch.no_grad()
def reference_scores(model: BaseRecognizer, frames: Tensor) -> Tensor:
    """Scores of the model's own ``test_step``, video by video.

    Args:
        model (BaseRecognizer): In any mode, in which it is left.
        frames (Tensor): shape (N, views, C, ...).

    Returns:
        Tensor: scores (N, K) on the CPU.
    """
    training = model.training
    model.eval()
    try:
        scores = []
        for video in frames:
            batch = dict(inputs=[video], data_samples=[ActionDataSample()])
            scores.append(model.test_step(batch)[0].pred_score.cpu())
    finally:
        model.train(training)
    return torch.stack(scores)


def check_scores(
    run: Callable[[Tensor], Tensor],
    model: BaseRecognizer,
    shape: Sequence[int],
    dtype: torch.dtype,
    batch: int,
) -> float:
    """Compare with the model at a batch of one and at another.

    Args:
        run (Callable[[Tensor], Tensor]): What was exported: frames in,
            scores out.
        model (BaseRecognizer): What it was exported from.
        shape (Sequence[int]): Of one video.
        dtype (torch.dtype): Of the frames.
        batch (int): The other batch size.

    Returns:
        float: the largest difference of a score.

    Raises:
        ExportError: It is above ``TOLERANCE`` or no number, or ``run`` fails.
    """
    largest = 0.0
    for size in sorted({1, batch}):
        frames = draw_frames(size, shape, dtype)
        expected = reference_scores(model, frames)
        try:
            found = run(frames)
        # Each runtime has errors of its own.
        except Exception as error:
            raise ExportError(
                f'the exported model fails on {size} videos: {reason(error)}'
            ) from error
        if found.shape != expected.shape:
            raise ExportError(
                f'the exported model gives scores of shape '
                f'{tuple(found.shape)} for {size} videos, PyTorch '
                f'{tuple(expected.shape)}'
            )
        difference = (found - expected).abs().max().item()
        if not difference <= TOLERANCE:  # nan is refused, too
            raise ExportError(
                f'the scores of the exported model differ by {difference:.1e} '
                f'from those of PyTorch, {TOLERANCE:.0e} are allowed; nothing '
                'was written'
            )
        largest = max(largest, difference)
    return largest


def check_batch(batch: int) -> None:
    """Refuse a check that would see only one batch size."""
    if batch < 2:
        raise ValueError(
            f'export: batch must be at least 2, got {batch}; it is compared '
            'beside a batch of one'
        )


def reason(error: BaseException) -> str:
    """Name the first cause of an error in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[0]}'
