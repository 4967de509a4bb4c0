"""Expressions of faces in clips, from a config and a checkpoint."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmaction.utils import ConfigType
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import nn

from micacl_mm.models.logit_adjustment import adjust_logits
from micacl_mm.models.necks import BaseBagNeck
from micacl_mm.records.training import find_class_counts
from micacl_mm.registry import INFERENCERS

from .clip_listing import list_clips
from .clip_pipeline import ClipPipeline, test_pipeline_of
from .clips import ClipError, Source, open_clip
from .explain import explain
from .face_finder import FaceFinder
from .jobs import Job, fill_in, finished, plan_jobs
from .loading import (
    check_device,
    check_file,
    class_names,
    first_line,
    load_model,
    load_weights,
    read_config,
)
from .predictions import ClipPrediction
from .windows import check_windows

Inputs = Union[Source, Sequence[Source]]


@INFERENCERS.register_module()
class DFERInferencer(BaseInferencer):
    """Predicts the expressions in videos, folders of frames and arrays.

    What enters the model is what the config's test pipeline makes of a clip,
    the same as in ``tools/test.py``. A clip longer than ``window`` is cut into
    windows that slide over it, its timeline, and its scores are their mean.

    Args:
        config (str or Config): Config that the checkpoint was trained with.
        checkpoint (str): Its weights; all must fit.
        device (str, optional): Such as ``'cuda:0'``. Defaults to None, a GPU
            if there is one.
        amp (bool): Mixed precision, float16 on a GPU and bfloat16 on a CPU.
            Defaults to False.
        face (str or dict): Where the faces are: ``'none'``, the clips are face
            crops already; else the type of a registered detector
            (``'CenterFaceDetector'``, ``'HaarFaceDetector'`` or one's own) or
            its config. Defaults to ``'none'``.
        faces (str): ``'main'``, the largest and most persistent face, or
            ``'all'``, each with a prediction of its own. Defaults to
            ``'main'``.
        margin (float): Room around a found face, as a share of its size;
            that of the crops that the model was trained on. Defaults to 0.15.
        show_progress (bool): A bar with the time left. Defaults to True.
        logit_adjust (float, optional): tau of post-hoc logit adjustment, see
            :func:`adjust_logits`. Defaults to None.
        class_counts (Sequence[int], optional): Training videos of each
            class, for it. Defaults to None, those that the checkpoint tells.

    Attributes:
        classes (tuple[str, ...]): Names of the K classes.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        ValueError: A file that is none, a model that cannot be built, weights
            that do not fit it, or a device that is not there.

    Examples:
        >>> infer = DFERInferencer('configs/micacl_demo.py', 'best.pth')
        >>> infer('clip.mp4')['predictions'][0]['label']
    """

    def __init__(
        self,
        config: Union[str, os.PathLike, Config],
        checkpoint: Union[str, os.PathLike],
        device: Optional[str] = None,
        amp: bool = False,
        face: Union[str, ConfigType] = 'none',
        faces: str = 'main',
        margin: float = 0.15,
        show_progress: bool = True,
        logit_adjust: Optional[float] = None,
        class_counts: Optional[Sequence[int]] = None,
    ) -> None:
        self.logit_adjust = logit_adjust
        self._class_counts = class_counts
        init_default_scope('mmaction')
        check_device(device)
        checkpoint = os.fspath(checkpoint)
        super().__init__(
            read_config(config),
            check_file(checkpoint),
            device,
            scope='mmaction',
            show_progress=show_progress,
        )
        self.amp = amp
        # Now, for the config may register detectors.
        self.finder = FaceFinder(face, faces, margin)

    @property
    def explainable(self) -> bool:
        """Whether the model has a neck whose weights can be looked at."""
        return isinstance(getattr(self.model, 'neck', None), BaseBagNeck)

    def __call__(self, inputs: Inputs, **kwargs: Any) -> dict:
        """Predict and return what JSON can hold.

        Args:
            inputs (str, PathLike, ndarray or a list of these): Videos, folders
                of frames, folders of these, arrays (T, H, W, 3) of RGB.
            **kwargs: Arguments of :meth:`predict`.

        Returns:
            dict: ``predictions`` and ``failures``, lists of
            :meth:`ClipPrediction.to_dict`.
        """
        found = [p.to_dict() for p in self.predict(inputs, **kwargs)]
        return dict(
            predictions=[p for p in found if p['error'] is None],
            failures=[p for p in found if p['error'] is not None],
        )

    def predict(
        self,
        inputs: Inputs,
        batch_size: int = 8,
        window: Optional[float] = 8.0,
        stride: Optional[float] = None,
        explained: bool = False,
        fps: Optional[float] = None,
    ) -> Iterator[ClipPrediction]:
        """Predict clip by clip.

        A clip that cannot be read is one prediction with an ``error``, and
        the others go on.

        Args:
            inputs (str, PathLike, ndarray or a list of these): As in
                :meth:`__call__`.
            batch_size (int): Bags that the model gets at once. Defaults to 8.
            window (float, optional): In seconds; longer clips get a timeline.
                None takes every clip as one bag. Defaults to 8.
            stride (float, optional): From window to window, in seconds.
                Defaults to None, half of ``window``.
            explained (bool): Add instance weights, adjacency and attention.
                Defaults to False.
            fps (float, optional): Frames a second of folders and arrays.
                Defaults to None, 25.

        Yields:
            ClipPrediction: In the order of the clips, each as soon as it and
            those before it are done.

        Raises:
            TypeError: No clip, or ``explained`` with a model that has no neck
                on bags.
            ValueError: A wrong argument.
        """
        check_windows(window, stride)
        for name, value in (('batch_size', batch_size), ('fps', fps)):
            if value is not None and value <= 0:
                raise ValueError(f'{name} must be positive, got {value}')
        clips = list_clips(inputs)
        waiting: list[tuple[ClipPrediction, list[Job]]] = []
        batch: list[tuple[Job, dict]] = []
        for number, source in enumerate(self._tracked(clips)):
            planned = self._plan(number, source, window, stride, fps)
            waiting += planned
            for job in chain.from_iterable(jobs for _, jobs in planned):
                loaded = self._load(job)
                batch += [] if loaded is None else [(job, loaded)]
                if len(batch) == batch_size:
                    self._run(batch, explained)
                    batch = []
            yield from finished(waiting)
        if batch:
            self._run(batch, explained)
        yield from finished(waiting)

    def _tracked(self, clips: Sequence[Source]) -> Iterable[Source]:
        """The clips, with a bar if there are several."""
        if not self.show_progress or len(clips) < 2:
            return clips
        return track(clips, description='clips')

    def _plan(
        self,
        number: int,
        source: Source,
        window: Optional[float],
        stride: Optional[float],
        fps: Optional[float],
    ) -> list[tuple[ClipPrediction, list[Job]]]:
        """Open a clip, find its faces and cut each into bags."""
        text = name = f'array {number}'
        if not isinstance(source, np.ndarray):
            text = os.fspath(source)
            path = Path(text).resolve()  # of '.' too
            name = path.name if path.is_dir() else path.stem
        prediction = ClipPrediction(text, name, self.classes, number)
        planned = []
        try:
            clip = open_clip(source, text, fps)
            for face in self.finder.find(clip, prediction):
                jobs = plan_jobs(clip, face, window, stride)
                planned.append((face, jobs))
        except Exception as error:  # of whatever library
            prediction.error = _said(error, text)
            planned = [(prediction, [])]
        return planned

    def _load(self, job: Job) -> Optional[dict]:
        """Read and prepare a bag; None, and it is said, if that fails."""
        if job.prediction.error is not None:
            return None
        try:
            sampled = self.pipeline.sample(job.clip, job.frames)
            crop = self.finder.crop_of(
                job.prediction, self.pipeline.crops_faces
            )
            data = self.pipeline.load(job.clip, sampled, crop)
        except Exception as error:  # of whatever library
            job.prediction.error = _said(error, job.clip.path)
            return None
        return dict(sampled=sampled, data=data)

    def _run(self, batch: list[tuple[Job, dict]], explained: bool) -> None:
        """Have the model look at a batch."""
        jobs, loaded = zip(*batch, strict=True)
        watched = explain(self.model) if explained else nullcontext()
        data = self.collate_fn([part['data'] for part in loaded])
        with watched as seen:
            samples = self.forward(data)
        fill_in(jobs, [part['sampled'] for part in loaded], samples, seen)

    def forward(self, inputs: dict, **kwargs: Any) -> list:
        """Predict a collated batch."""
        kind = next(self.model.parameters()).device.type
        with torch.autocast(kind, enabled=self.amp):
            return super().forward(inputs, **kwargs)

    def _init_pipeline(self, cfg: ConfigType) -> ClipPipeline:
        return ClipPipeline(test_pipeline_of(cfg))

    def _init_visualizer(self, cfg: ConfigType) -> None:
        """None: pictures are made by micacl_mm.visualization."""

    def _init_model(
        self, cfg: ConfigType, weights: str, device: str = 'cpu'
    ) -> nn.Module:
        return load_model(cfg, weights, device, self._load_weights_to_model)

    def _load_weights_to_model(
        self,
        model: nn.Module,
        checkpoint: Optional[dict],
        cfg: Optional[ConfigType],
    ) -> None:
        self.classes = class_names(model, checkpoint, cfg)
        load_weights(model, checkpoint)
        if self.logit_adjust is not None:
            counts = self._class_counts or find_class_counts(checkpoint)
            adjust_logits(model, self.logit_adjust, counts)

    def visualize(self, *args: Any, **kwargs: Any) -> None:
        """Unused: see tools/infer.py for pictures and annotated videos."""

    def postprocess(self, *args: Any, **kwargs: Any) -> None:
        """Unused: :meth:`predict` gives predictions as they get ready."""


def _said(error: Exception, clip: str) -> str:
    """One sentence that names the clip."""
    if isinstance(error, ClipError):
        return str(error)
    return f'{clip}: cannot be predicted on, {first_line(error)}'
