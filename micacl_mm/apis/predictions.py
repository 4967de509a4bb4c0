"""What comes out of a prediction, for programs and files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
from torch import Tensor

from micacl_mm.faces import FaceTrack


@dataclass
class BagPrediction:
    """One bag: a whole clip, or a window of a long one.

    Attributes:
        start (float): In seconds.
        end (float): In seconds.
        scores (np.ndarray, optional): One a class, (K,), sum 1. None where
            no face was seen.
        frames (np.ndarray): Numbers of the sampled frames, in their order;
            empty where no face was seen.
        instances (int): M, into which the frames are cut.
        instance_weights (Tensor, optional): (M,), if asked for.
        adjacency (Tensor, optional): GEIIM's graph, (M, M).
        attention (Tensor, optional): WIAN's, (heads, M, M).
    """

    start: float
    end: float
    scores: Optional[np.ndarray] = None
    frames: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    instances: int = 1
    instance_weights: Optional[Tensor] = None
    adjacency: Optional[Tensor] = None
    attention: Optional[Tensor] = None

    def to_dict(self, classes: Sequence[str]) -> dict:
        """Only what JSON knows."""
        found = dict(
            start=round(self.start, 3),
            end=round(self.end, 3),
            label=None,
            scores=None,
            frames=self.frames.reshape(self.instances, -1).tolist()
            if len(self.frames)
            else [],
        )
        if self.scores is not None:
            found['label'] = classes[int(self.scores.argmax())]
            found['scores'] = _named(classes, self.scores)
        for name in ('instance_weights', 'adjacency', 'attention'):
            value = getattr(self, name)
            if value is not None:
                found[name] = value.tolist()
        return found


@dataclass
class ClipPrediction:
    """A clip, or one face of it.

    Attributes:
        clip (str): Path, or name of an array.
        name (str): Without folders and suffix.
        classes (tuple[str, ...]): Names of the K classes.
        number (int): Which of the clips that were given, from 0.
        bags (list[BagPrediction]): One, or the windows of a long clip: its
            timeline.
        frames (int): Frames of the clip.
        fps (float): Frames a second, on average.
        seconds (float): Length of the clip.
        face (int, optional): Which face, 0 for the main one; None where none
            was looked for.
        track (FaceTrack, optional): Where it is.
        frames_without_face (list[int]): Where this face was not seen.
        error (str, optional): Why there is no prediction, one sentence.
    """

    clip: str
    name: str
    classes: tuple[str, ...]
    number: int = 0
    bags: list[BagPrediction] = field(default_factory=list)
    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    face: Optional[int] = None
    track: Optional[FaceTrack] = None
    frames_without_face: list[int] = field(default_factory=list)
    error: Optional[str] = None

    def box_at(self, frame: int) -> Optional[np.ndarray]:
        """Where the face is in a frame: x1, y1, x2, y2, or None."""
        if self.track is None:
            return None
        boxes, found = self.track.boxes_at([frame])
        return boxes[0] if found[0] else None

    @property
    def scores(self) -> Optional[np.ndarray]:
        """Mean over the bags, (K,); None without any."""
        known = [bag.scores for bag in self.bags if bag.scores is not None]
        return np.mean(known, axis=0) if known else None

    @property
    def label(self) -> Optional[str]:
        """Class of the highest score."""
        scores = self.scores
        return None if scores is None else self.classes[int(scores.argmax())]

    def to_dict(self) -> dict:
        """Only what JSON knows; of a failure, clip and error."""
        found = dict(clip=self.clip, error=self.error)
        if self.face is not None:
            found['face'] = self.face
        if self.error is not None:
            return found
        found.update(
            label=self.label,
            scores=_named(self.classes, self.scores),
            frames=self.frames,
            fps=round(self.fps, 3),
            seconds=round(self.seconds, 3),
            timeline=[bag.to_dict(self.classes) for bag in self.bags],
        )
        if self.face is not None:
            found['frames_without_face'] = self.frames_without_face
        return found


def _named(classes: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    return dict(zip(classes, map(float, scores), strict=True))
