"""Bags that wait for the model, and how predictions fill up."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import torch

from .clips import Clip
from .explain import Explanation
from .predictions import BagPrediction, ClipPrediction
from .windows import cut_windows


class Job(NamedTuple):
    """A bag to predict.

    Attributes:
        clip (Clip): Where its frames are.
        prediction (ClipPrediction): What it is a part of.
        bag (BagPrediction): What the model's answer goes into.
        frames (np.ndarray): Numbers of the frames to choose from, (T',).
    """

    clip: Clip
    prediction: ClipPrediction
    bag: BagPrediction
    frames: np.ndarray


def plan_jobs(
    clip: Clip,
    prediction: ClipPrediction,
    window: Optional[float],
    stride: Optional[float],
) -> list[Job]:
    """Cut a clip into bags and note them in its prediction.

    Of a face only the frames count in which it was seen; a window without
    any stays in the timeline, without scores.

    Args:
        clip (Clip): An open one.
        prediction (ClipPrediction): To which the bags are added.
        window (float, optional): Seconds, see :func:`cut_windows`.
        stride (float, optional): Seconds.

    Returns:
        list[Job]: Bags that the model is to see.
    """
    prediction.frames = len(clip)
    prediction.fps, prediction.seconds = clip.fps, clip.duration
    jobs = []
    for part in cut_windows(clip.seconds, clip.duration, window, stride):
        bag = BagPrediction(part.start, part.end)
        prediction.bags.append(bag)
        frames = np.setdiff1d(part.frames, prediction.frames_without_face)
        if len(frames):
            jobs.append(Job(clip, prediction, bag, frames))
    return jobs


def fill_in(
    jobs: Sequence[Job],
    loaded: Sequence[dict],
    samples: Sequence[Any],
    seen: Optional[Explanation],
) -> None:
    """Put what the model said of a batch into the bags.

    Args:
        jobs (Sequence[Job]): N bags.
        loaded (Sequence[dict]): What the model was given of each.
        samples (Sequence[ActionDataSample]): Its answers.
        seen (Explanation, optional): What its necks looked at.
    """
    weights, attention = _per_bag(seen, len(jobs))
    for i, job in enumerate(jobs):
        score = samples[i].pred_score.detach().float().cpu()
        job.bag.scores = score.double().numpy()
        job.bag.frames = np.ravel(loaded[i]['frame_inds'])
        job.bag.instances = int(loaded[i].get('num_clips') or 1)
        if seen is not None:
            job.bag.instance_weights = weights[i]
            job.bag.adjacency = seen.adjacency
            job.bag.attention = None if attention is None else attention[i]


def _per_bag(seen: Optional[Explanation], count: int) -> tuple:
    """Weights and attention of each video, the mean over its crops."""
    if seen is None:
        return None, None

    def mean(rows: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        if rows is None:
            return None
        return rows.unflatten(0, (count, -1)).mean(dim=1)

    return mean(seen.instance_weights), mean(seen.attention)


def finished(
    waiting: list[tuple[ClipPrediction, list[Job]]],
) -> Iterator[ClipPrediction]:
    """Take predictions that nothing is missing of, in their order."""
    while waiting:
        prediction, jobs = waiting[0]
        missing = [job for job in jobs if job.bag.scores is None]
        if missing and prediction.error is None:
            return
        waiting.pop(0)
        yield prediction
