"""One face's way through a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """Boxes of one face by frame number.

    Two neighbouring entries between which no frame was looked at in vain are
    connected: :meth:`boxes_at` interpolates between them. All else is a gap.

    Args:
        frames (np.ndarray): Numbers of the frames with a box, ascending,
            (F,), int.
        boxes (np.ndarray): ``x1, y1, x2, y2`` in pixels, (F, 4).
        scores (np.ndarray): Score of each detection, (F,); NaN where the box
            was filled in.
        looked (np.ndarray, optional): Numbers of all frames of the clip in
            which faces were looked for, ascending. None stands for all from
            the first to the last of ``frames``. Defaults to None.

    Raises:
        ValueError: If these do not belong together.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    looked: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames, np.int64)
        boxes = np.asarray(self.boxes, np.float64)
        scores = np.asarray(self.scores, np.float64)
        count = len(frames) if frames.ndim == 1 else 0
        if not count or boxes.shape != (count, 4) or scores.shape != (count,):
            raise ValueError(
                'FaceTrack: must have F > 0 frames, (F, 4) boxes and F '
                f'scores, got {frames.shape}, {boxes.shape}, {scores.shape}'
            )
        looked = self.looked
        if looked is None:
            looked = np.arange(frames[0], frames[-1] + 1)
        looked = np.asarray(looked, np.int64)
        ascending = (np.diff(frames) > 0).all() and (np.diff(looked) > 0).all()
        if not ascending or not np.isin(frames, looked).all():
            raise ValueError(
                'FaceTrack: frames and looked must be ascending, and frames '
                'among looked'
            )
        x1, y1, x2, y2 = boxes.T
        if (
            not np.isfinite(boxes).all()
            or (x2 <= x1).any()
            or (y2 <= y1).any()
        ):
            raise ValueError(
                'FaceTrack: boxes must be finite x1, y1, x2, y2 with an area'
            )
        for name, value in [
            ('frames', frames),
            ('boxes', boxes),
            ('scores', scores),
            ('looked', looked),
        ]:
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def detected(self) -> np.ndarray:
        """Which boxes a detector gave, (F,), bool."""
        return ~np.isnan(self.scores)

    @property
    def size(self) -> float:
        """Sum over the detections of the square root of the box's area."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.sqrt(sides.prod(1))[self.detected].sum())

    @property
    def connected(self) -> np.ndarray:
        """Whether no gap lies between each entry and the next, (F - 1,)."""
        return np.diff(np.searchsorted(self.looked, self.frames)) == 1

    def boxes_at(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes in any frames, in gaps and outside the track none.

        Args:
            frames (np.ndarray): Frame numbers in any order, (N,).

        Returns:
            tuple[np.ndarray, np.ndarray]: Boxes, (N, 4), NaN where there is
            none, and whether there is one, (N,), bool.
        """
        frames = np.asarray(frames, np.int64).reshape(-1)
        after = np.searchsorted(self.frames, frames)
        exact = self.frames[np.minimum(after, len(self) - 1)] == frames
        between = np.zeros(len(frames), bool)
        inner = (after > 0) & (after < len(self))
        between[inner] = self.connected[after[inner] - 1]
        found = exact | between
        boxes = np.full((len(frames), 4), np.nan)
        for k, column in enumerate(self.boxes.T):
            boxes[found, k] = np.interp(frames[found], self.frames, column)
        return boxes, found

    def nearest_boxes(self, frames: np.ndarray) -> np.ndarray:
        """Boxes in any frames, where there is none that nearest in time.

        Args:
            frames (np.ndarray): Frame numbers in any order, (N,).

        Returns:
            np.ndarray: Boxes, (N, 4).
        """
        frames = np.asarray(frames, np.int64).reshape(-1)
        boxes, found = self.boxes_at(frames)
        distance = np.abs(frames[~found, None] - self.frames)  # (N', F)
        boxes[~found] = self.boxes[distance.argmin(1)]
        return boxes
