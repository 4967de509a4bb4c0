"""Expressions of faces in clips, from a config and a checkpoint."""

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import torch
from mmaction.utils import ConfigType
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from micacl_mm.errors import ConfigError, check_choice
from micacl_mm.faces import (
    CropFaces,
    FaceTrack,
    QuickDetector,
    build_detector,
    find_faces,
    main_face,
)
from micacl_mm.hooks.logit_adjustment_hook import adjust_by_checkpoint
from micacl_mm.models.necks import BaseBagNeck
from micacl_mm.records.config_hash import inner_dataset, short_type
from micacl_mm.registry import INFERENCERS
from micacl_mm.utils.video import read_video
from micacl_mm.utils.workers import track

from .clips import (
    Clip,
    FrameReader,
    Source,
    check_windows,
    cut_windows,
    list_clips,
    open_clip,
)
from .explain import explain
from .features import per_video, watch_features
from .loading import (
    check_device,
    class_names,
    first_line,
    load_model,
    read_config,
)
from .predictions import BagPrediction, ClipPrediction

#: Looks for faces a second; boxes between are interpolated.
LOOKS_PER_SECOND = 6
#: Shorter gaps are filled; after longer ones a face is a new one.
FILLED_SECONDS, LOST_SECONDS = 0.5, 30.0
#: Beside the main face, those that are seen for less are none, or passers-by.
LEAST_SECONDS = 0.5

Inputs = Union[Source, Sequence[Source]]


class ClipPipeline:
    """Runs the test pipeline of a config on clips of all kinds.

    Sampling and all that follows the decoding are the config's own. Faces are
    cropped with ``margin``, unless the pipeline does that itself.
    """

    def __init__(self, cfg: ConfigType, margin: float) -> None:
        dataset = inner_dataset(cfg.get('test_dataloader'))
        steps = [(_kind(step), step) for step in dataset.get('pipeline') or ()]
        steps = [pair for pair in steps if not pair[0].endswith('Init')]
        kinds = [kind for kind, _ in steps]
        at = [i for i, kind in enumerate(kinds) if kind.endswith('Decode')]
        if len(at) != 1:
            raise ConfigError(
                'the test_dataloader must have a pipeline with one step that '
                f'decodes frames, got {", ".join(kinds) or "none"}',
                'use the config that the checkpoint was trained with',
            )
        self._sample = Compose([step for _, step in steps[: at[0]]])
        self._after = Compose([step for _, step in steps[at[0] + 1 :]])
        crop = CropFaces(detector=None, margin=margin)  # by tracks
        self._crop = None if 'CropFaces' in kinds else crop

    def sample(self, clip: Clip, frames: np.ndarray) -> dict:
        """Choose among some frames (T',) of a clip as the test does.

        Returns:
            dict: With ``frame_inds``, numbers of frames of the clip.
        """
        results = self._sample(
            dict(
                total_frames=len(frames),
                start_index=0,
                modality='RGB',
                avg_fps=clip.fps,
                video_id=clip.name,
            )
        )
        results['frame_inds'] = frames[np.ravel(results['frame_inds'])]
        return results

    def prepare(
        self,
        results: dict,
        images: list[np.ndarray],
        track: Optional[FaceTrack],
    ) -> dict:
        """Make the model's input of what :meth:`sample` chose, cropped."""
        shape = images[0].shape[:2]
        results = dict(
            results, imgs=images, original_shape=shape, img_shape=shape
        )
        if track is not None:
            results['face_track'] = track
            if self._crop is not None:
                results = self._crop(results)
        return self._after(results)


def _kind(step: ConfigType) -> str:
    """Name of a transform; pure-Python configs have its class."""
    kind = step['type']
    return short_type(kind) if isinstance(kind, str) else kind.__name__


class _Job(NamedTuple):
    """A bag to predict, from chosen frames of a clip."""

    prediction: ClipPrediction
    bag: BagPrediction
    sampled: dict


@INFERENCERS.register_module()
class DFERInferencer:
    """Predicts the expressions in videos, folders of frames and arrays.

    What enters the model is what the config's test pipeline makes of a clip,
    the same as in ``micacl test``. A clip longer than ``window`` is cut into
    windows that slide over it, its timeline, and its scores are their mean.

    Args:
        config (str or Config): Config that the checkpoint was trained with: a
            file, or the name of a shipped one.
        checkpoint (str): Its weights; all must fit.
        device (str, optional): Such as ``'cuda:0'``. Defaults to None, a GPU
            if there is one.
        amp (bool): Mixed precision, float16 on a GPU and bfloat16 on a CPU.
            Defaults to False.
        face (str or dict): Where the faces are: ``'none'``, the clips are face
            crops already; else a detector, see
            :func:`~micacl_mm.faces.build_detector`. Defaults to ``'none'``.
        faces (str): ``'main'``, the largest and most persistent face, or
            ``'all'``, each with a prediction of its own. Defaults to
            ``'main'``.
        margin (float): Room around a found face, as a share of its size;
            that of the crops that the model was trained on. Defaults to 0.15.
        min_seen (float): Share of a window's frames in which the face must be
            seen for the window to count, if any window has as much. Defaults
            to 0.25.
        show_progress (bool): A line with the time left. Defaults to True.
        logit_adjust (float, optional): tau of post-hoc logit adjustment, see
            :func:`adjust_logits`. Defaults to None.
        class_counts (Sequence[int], optional): Training videos of each
            class, for it. Defaults to None, those that the checkpoint tells.

    Attributes:
        classes (tuple[str, ...]): Names of the K classes.

    Examples:
        >>> infer = DFERInferencer('micacl_demo', 'best.pth')
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
        min_seen: float = 0.25,
        show_progress: bool = True,
        logit_adjust: Optional[float] = None,
        class_counts: Optional[Sequence[int]] = None,
    ) -> None:
        cfg = read_config(config)
        init_default_scope('mmaction')
        check_device(device)
        check_choice('DFERInferencer', ('main', 'all'), faces=faces)
        model, file = load_model(cfg, os.fspath(checkpoint))
        self.classes = class_names(model, file, cfg)
        if logit_adjust is not None:
            adjust_by_checkpoint(model, logit_adjust, file, class_counts)
        self.model = model.to(device or get_device())
        self.pipeline = ClipPipeline(cfg, margin)
        # Now, for the config may register detectors.
        self.detector = build_detector(face)
        self.amp = amp
        self.faces = faces
        self.min_seen = min_seen
        self.show_progress = show_progress

    def __call__(self, inputs: Inputs, **kwargs: Any) -> dict:
        """Predict, see :meth:`predict`, and return what JSON can hold.

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
        features: bool = False,
    ) -> Iterator[ClipPrediction]:
        """Predict clip by clip.

        A clip that cannot be read is one prediction with an ``error``, and
        the others go on.

        Args:
            inputs (str, PathLike, ndarray or a list of these): Videos, folders
                of frames, folders of these, arrays (T, H, W, 3) of RGB.
            batch_size (int): Bags that the model gets at once. Defaults to 8.
            window (float, optional): In seconds; longer clips get a timeline.
                None takes every clip as one bag. Defaults to 8.
            stride (float, optional): From window to window, in seconds.
                Defaults to None, half of ``window``.
            explained (bool): Add instance weights, adjacency and attention of
                our necks. Defaults to False.
            fps (float, optional): Frames a second of folders and arrays.
                Defaults to None, 25.
            features (bool): Add what enters the classification, ``feature``
                of each bag. Defaults to False.

        Yields:
            ClipPrediction: In the order of the clips, each as soon as it and
            those before it are done.
        """
        stride = check_windows(window, stride)
        for name, value in (('batch_size', batch_size), ('fps', fps)):
            if value is not None and value <= 0:
                raise ConfigError(f'{name} must be positive, got {value}')
        clips = list_clips(inputs)
        waiting: list[ClipPrediction] = []
        batch: list[tuple[_Job, dict]] = []
        show = self.show_progress and len(clips) > 1
        shown = track(clips, len(clips), show)
        for number, source in enumerate(shown):
            for item in self._load(
                number, source, fps, (window, stride), waiting
            ):
                batch.append(item)
                if len(batch) == batch_size:
                    self._run(batch, explained, features)
                    batch = []
            yield from _finished(waiting)
        if batch:
            self._run(batch, explained, features)
        yield from _finished(waiting)

    def _load(
        self,
        number: int,
        source: Source,
        fps: Optional[float],
        windows: tuple[Optional[float], Optional[float]],
        waiting: list[ClipPrediction],
    ) -> Iterator[tuple[_Job, dict]]:
        """Read a clip: its bags, each with the model's input.

        Its predictions, one a face, are added to those that wait; what is
        wrong is noted in them.
        """
        text = name = f'array {number}'
        if not isinstance(source, np.ndarray):
            text = os.fspath(source)
            path = Path(text).resolve()  # of '.' too
            name = path.name if path.is_dir() else path.stem
        found = [ClipPrediction(text, name, self.classes, number)]
        try:
            clip = open_clip(source, text, fps)
            found[0].frames, found[0].fps = len(clip), clip.fps
            found[0].seconds = clip.duration
            if self.detector is not None:
                tracks = self._find_faces(clip)
                found = [
                    replace(found[0], face=k, track=track, bags=[])
                    for k, track in enumerate(tracks)
                ]
            jobs = [
                job
                for prediction in found
                for job in self._plan(clip, prediction, *windows)
            ]
        except Exception as error:  # of whatever library
            found[0].error = _said(error, text)
            waiting.append(found[0])
            return
        waiting += found
        jobs.sort(key=lambda job: job.bag.frames.max())
        reader = FrameReader(clip, [job.bag.frames for job in jobs])
        for job in jobs:
            if job.prediction.error is not None:
                continue
            try:
                images = reader.take(job.bag.frames)
                data = self.pipeline.prepare(
                    job.sampled, images, job.prediction.track
                )
            except Exception as error:  # of whatever library
                job.prediction.error = _said(error, text)
            else:
                yield job, data

    def _find_faces(self, clip: Clip) -> list[FaceTrack]:
        """Follow the main face of a clip, or all that are there for long."""
        every = max(1, round(clip.fps / LOOKS_PER_SECOND))
        wanted = {*range(0, len(clip), every), len(clip) - 1}
        looks = ((number, clip.frame(number)) for number in sorted(wanted))
        if os.path.isfile(clip.path):  # decord would decode far ahead
            frames = enumerate(read_video(clip.path))
            looks = (pair for pair in frames if pair[0] in wanted)
        tracks = find_faces(
            looks,
            QuickDetector(self.detector),
            max_gap=round(FILLED_SECONDS * clip.fps / every),
            smoothing=2.0 * every,
            max_lost=round(LOST_SECONDS * clip.fps / every),
        )
        main, least = main_face(tracks, clip.path), LEAST_SECONDS * clip.fps
        if self.faces == 'main':
            return [main]
        others = [
            track
            for track in tracks[1:]
            if track.boxes_at(range(len(clip)))[1].sum() >= least
        ]
        return [main, *others]

    def _plan(
        self,
        clip: Clip,
        prediction: ClipPrediction,
        window: Optional[float],
        stride: Optional[float],
    ) -> list[_Job]:
        """Cut a clip into bags, and note them in its prediction.

        Of a face only the frames count in which it was seen; a window with
        too few of them stays in the timeline, without scores.
        """
        cut = np.zeros(len(clip), bool)
        if prediction.track is not None:
            boxes, seen = prediction.track.boxes_at(range(len(clip)))
            prediction.frames_without_face = np.flatnonzero(~seen).tolist()
            height, width = clip.frame(0).shape[:2]
            low, high = boxes[:, :2], boxes[:, 2:]
            near = 0.1 * (high - low).max(1, keepdims=True)  # smoothed boxes
            cut = ((low < near) | (high > [width, height] - near)).any(1)
        jobs = []
        for part in cut_windows(clip.seconds, clip.duration, window, stride):
            frames = np.setdiff1d(part.frames, prediction.frames_without_face)
            share = len(frames) / max(1, len(part.frames))
            bag = BagPrediction(part.start, part.end, share)
            prediction.bags.append(bag)
            if len(frames):
                bag.cut = float(cut[frames].mean())
                jobs.append((bag, frames))
        jobs = [job for job in jobs if job[0].seen >= self.min_seen] or jobs
        found = []
        for bag, frames in jobs:
            sampled = self.pipeline.sample(clip, frames)
            bag.frames = sampled['frame_inds']
            bag.instances = int(sampled.get('num_clips') or 1)
            found.append(_Job(prediction, bag, sampled))
        return found

    def _run(
        self, batch: list[tuple[_Job, dict]], explained: bool, features: bool
    ) -> None:
        """Let the model predict a batch, and note it in the bags."""
        if not isinstance(getattr(self.model, 'neck', None), BaseBagNeck):
            explained = False
        watched = explain(self.model) if explained else nullcontext()
        taking = watch_features(self.model) if features else nullcontext()
        mixed = torch.autocast(
            next(self.model.parameters()).device.type, enabled=self.amp
        )
        data = pseudo_collate([data for _, data in batch])
        with torch.no_grad(), mixed, watched as seen, taking as taken:
            samples = self.model.test_step(data)
        vectors = per_video(taken, len(batch)).numpy() if features else None
        for i, (job, _) in enumerate(batch):
            score = samples[i].pred_score.detach().float().cpu()
            job.bag.scores = score.double().numpy()
            if features:
                job.bag.feature = vectors[i]
            if seen is None:
                continue
            job.bag.adjacency = seen.adjacency
            for name in ('instance_weights', 'attention'):
                rows = getattr(seen, name)  # of each video, and its crops
                if rows is not None:
                    rows = rows.unflatten(0, (len(batch), -1))
                    setattr(job.bag, name, rows[i].mean(0))


def _said(error: Exception, clip: str) -> str:
    """One sentence that names the clip."""
    text = str(error)
    if clip in text and '\n' not in text:
        return text
    return f'{clip}: cannot be predicted on, {first_line(error)}'


def _finished(waiting: list[ClipPrediction]) -> Iterator[ClipPrediction]:
    """Take predictions that nothing is missing of, in their order."""
    while waiting and (waiting[0].error or waiting[0].is_complete):
        yield waiting.pop(0)
