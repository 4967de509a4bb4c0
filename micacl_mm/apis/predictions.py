"""What comes out of a prediction, for programs and files."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from torch import Tensor

from micacl_mm.faces import FaceTrack
from micacl_mm.utils.files import replacing, write_text
from micacl_mm.version import __version__

_BOX = ('box_frame', 'x1', 'y1', 'x2', 'y2')


@dataclass
class BagPrediction:
    """One bag: a whole clip, or a window of a long one."""

    start: float  # in seconds
    end: float
    #: Share of its frames in which the face was seen; 1 if not looked for.
    seen: float = 1.0
    #: One a class, (K,), sum 1. None where the face was seen too rarely.
    scores: Optional[np.ndarray] = None
    #: Numbers of the sampled frames, in their order; empty likewise.
    frames: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    instances: int = 1  # M, into which the frames are cut
    # If asked for:
    instance_weights: Optional[Tensor] = None  # (M,)
    adjacency: Optional[Tensor] = None  # GEIIM's graph, (M, M)
    attention: Optional[Tensor] = None  # WIAN's, (heads, M, M)
    feature: Optional[np.ndarray] = None  # enters the classification, (C,)
    #: Share of the frames with the face in which its box reaches the border
    #: of the frame, which may cut it.
    cut: float = 0.0

    def to_dict(self, classes: Sequence[str]) -> dict:
        """Only what JSON knows."""
        found = dict(
            start=round(self.start, 3),
            end=round(self.end, 3),
            seen=round(self.seen, 3),
            cut=round(self.cut, 3),
            label=None,
            scores=None,
            frames=[],
        )
        if self.scores is not None:
            found['label'] = classes[int(self.scores.argmax())]
            found['scores'] = _named(classes, self.scores)
            found['frames'] = self.frames.reshape(self.instances, -1).tolist()
        for name in ('instance_weights', 'adjacency', 'attention'):
            value = getattr(self, name)
            if value is not None:
                found[name] = value.tolist()
        return found


@dataclass
class ClipPrediction:
    """A clip, or one face of it."""

    clip: str  # path, or name of an array
    name: str  # without folders and suffix
    classes: tuple[str, ...]  # names of the K classes
    number: int = 0  # which of the clips that were given
    #: One, or the windows of a long clip: its timeline.
    bags: list[BagPrediction] = field(default_factory=list)
    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    #: Which face, 0 for the main one; None where none was looked for.
    face: Optional[int] = None
    track: Optional[FaceTrack] = None  # where it is
    #: Where this face was not seen.
    frames_without_face: list[int] = field(default_factory=list)
    error: Optional[str] = None  # why there is no prediction, one sentence

    def box_at(self, frame: int) -> Optional[np.ndarray]:
        """Where the face is in a frame: x1, y1, x2, y2, or None."""
        if self.track is None:
            return None
        boxes, found = self.track.boxes_at([frame])
        return boxes[0] if found[0] else None

    @property
    def is_complete(self) -> bool:
        """Whether all bags of which frames were sampled have scores."""
        return all(
            bag.scores is not None for bag in self.bags if len(bag.frames)
        )

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
        if self.track is not None:
            found['frames_without_face'] = self.frames_without_face
            seen = self.track.frames[self.track.seen]
            found.update(self._place(seen))
            for line, bag in zip(found['timeline'], self.bags, strict=True):
                line.update(self._place(bag.frames))
        return found

    def _place(self, frames: Sequence[int]) -> dict:
        """The middle one of some frames, and the face's box there."""
        if not len(frames):
            return dict(box_frame=None, box=None)
        frame = int(sorted(frames)[len(frames) // 2])
        box = np.round(self.box_at(frame), 1).tolist()
        return dict(box_frame=frame, box=box)


def _named(classes: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    return dict(zip(classes, scores.tolist(), strict=True))


def write_results(
    folder: Path,
    found: Sequence[ClipPrediction],
    classes: Sequence[str],
    about: Mapping[str, Any],
) -> None:
    """Write predictions.json, predictions.csv and timeline.csv of a run.

    ``about`` are further entries of the JSON file.
    """
    rows = [p.to_dict() for p in found]
    good = [row for row in rows if row['error'] is None]
    whole = dict(
        version=__version__,
        **about,
        classes=list(classes),
        predictions=good,
        failures=[row for row in rows if row['error'] is not None],
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False) + '\n'
    write_text(folder / 'predictions.json', text)
    tail = ('frames', 'fps', 'seconds', *_BOX, 'error')
    head = ['clip', 'face', 'label']
    _write_table(folder / 'predictions.csv', head, rows, classes, tail)
    windows = [
        {**window, 'clip': row['clip'], 'face': row.get('face')}
        for row in good
        for window in row['timeline']
    ]
    head = ['clip', 'face', 'start', 'end', 'seen', 'cut', 'label']
    _write_table(folder / 'timeline.csv', head, windows, classes, _BOX)


def write_features(path: Path, found: Sequence[ClipPrediction]) -> None:
    """Write the bags' features and instance weights, a row each.

    A ``.csv``, or an ``.npz`` with ``features`` (N, C) and, where the model
    has any, ``instance_weights`` (N, M).
    """
    bags = [
        (p, bag) for p in found for bag in p.bags if bag.feature is not None
    ]
    columns = dict(
        clip=[p.clip for p, _ in bags],
        face=[-1 if p.face is None else p.face for p, _ in bags],
        start=[bag.start for _, bag in bags],
        end=[bag.end for _, bag in bags],
        label=[p.classes[bag.scores.argmax()] for p, bag in bags],
    )
    wide = {'features': np.array([bag.feature for _, bag in bags])}
    if bags and bags[0][1].instance_weights is not None:
        weights = [bag.instance_weights.numpy() for _, bag in bags]
        wide['instance_weights'] = np.array(weights)
    if path.suffix == '.npz':
        with replacing(path) as part, part.open('wb') as file:
            np.savez_compressed(file, **columns, **wide)
        return
    for name, values in wide.items():
        for i, column in enumerate(np.transpose(values)):
            columns[f'{name}_{i}'] = column.tolist()
    rows = zip(*columns.values(), strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in rows]
    _write_table(path, [*columns], rows)


def _write_table(
    path: Path,
    head: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[str] = (),
    tail: Sequence[str] = (),
) -> None:
    """Write a CSV file; six digits, nothing for the unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([*head, *classes, *tail])
    for row in rows:
        # A class may be called like a column.
        scores = row.get('scores') or {}
        box = zip(_BOX[1:], row.get('box') or (), strict=False)
        row = {**row, **dict(box)}
        cells = [row.get(name) for name in head]
        cells += [scores.get(name) for name in classes]
        cells += [row.get(name) for name in tail]
        writer.writerow(
            f'{cell:.6g}' if isinstance(cell, float) else cell
            for cell in cells
        )
    write_text(path, text.getvalue())
