"""From the frames of a clip to one track a face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
from scipy.optimize import linear_sum_assignment

from micacl_mm.errors import ConfigError, DataError

from .detectors import Detector, detect_checked


class NoFaceError(DataError):
    """A clip, or a frame that must have one, shows no face."""


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
            raise DataError(
                'FaceTrack: must have F > 0 frames, (F, 4) boxes and F '
                f'scores, got {frames.shape}, {boxes.shape}, {scores.shape}'
            )
        looked = self.looked
        if looked is None:
            looked = np.arange(frames[0], frames[-1] + 1)
        looked = np.asarray(looked, np.int64)
        ascending = (np.diff(frames) > 0).all() and (np.diff(looked) > 0).all()
        if not ascending or not np.isin(frames, looked).all():
            raise DataError(
                'FaceTrack: frames and looked must be ascending, and frames '
                'among looked'
            )
        sides = boxes[:, 2:] - boxes[:, :2]
        if not np.isfinite(boxes).all() or (sides <= 0).any():
            raise DataError(
                'FaceTrack: boxes must be finite x1, y1, x2, y2 with an area'
            )
        given = dict(frames=frames, boxes=boxes, scores=scores, looked=looked)
        for name, value in given.items():
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


def find_faces(
    frames: Iterable[tuple[int, np.ndarray]],
    detector: Detector,
    every: int = 1,
    max_gap: int = 12,
    smoothing: float = 2.0,
    max_lost: int = 30,
    min_iou: float = 0.1,
) -> list[FaceTrack]:
    """Find the faces of a clip and follow them.

    The frames are taken one by one, so that a long video needs no more
    memory than a short one.

    Args:
        frames (Iterable[tuple[int, np.ndarray]]): Number and picture of each
            frame in temporal order; (H, W, 3), uint8, RGB.
        detector (Callable): See :class:`BaseFaceDetector`.
        every (int): Look for faces in every k-th frame and in the last one;
            ``FaceTrack.boxes_at`` knows those between. Defaults to 1.
        max_gap (int): Gaps of so many frames looked at in vain are filled
            (:func:`fill_gaps`). Defaults to 12.
        smoothing (float): Width of :func:`smooth` in frames looked at, so
            that jitter falls as much whatever ``every`` is. Defaults to 2.
        max_lost (int): Frames looked at in vain after which a face that
            comes back is a new one (:func:`track_faces`); ``max_gap`` if
            that is more. Defaults to 30.
        min_iou (float): As in :func:`track_faces`. Defaults to 0.1.

    Returns:
        list[FaceTrack]: One a face, filled and smoothed, the main one
        first; empty if there is no face.

    Raises:
        ValueError: For a wrong argument, frame or detector.

    Example:
        >>> tracks = find_faces(enumerate(images), CenterFaceDetector())
        >>> boxes, found = main_face(tracks, 'my.mp4').boxes_at(range(16))
    """
    if every < 1 or max_gap < 0 or smoothing < 0:
        raise ConfigError(
            'find_faces: every must be 1 or more, max_gap and smoothing 0 or '
            f'more, got {every}, {max_gap} and {smoothing}'
        )
    name = getattr(detector, '__name__', type(detector).__name__)
    detections = (
        (number, detect_checked(detector, frame, name))
        for number, frame in _thinned(frames, every)
    )
    tracks = track_faces(detections, max(max_lost, max_gap), min_iou)
    sigma = smoothing * every  # in frames
    return [smooth(fill_gaps(track, max_gap), sigma) for track in tracks]


def main_face(tracks: Sequence[FaceTrack], clip: str) -> FaceTrack:
    """The largest and most persistent face of a clip.

    Args:
        tracks (Sequence[FaceTrack]): What :func:`find_faces` gave.
        clip (str): Name of the clip, for the message.

    Returns:
        FaceTrack: The first track.

    Raises:
        NoFaceError: If there is none.
    """
    if not tracks:
        raise NoFaceError(
            f'{clip}: no face found in any frame',
            'leave the clip out if it shows none; else lower the threshold '
            'of the detector or use another; for face crops use --face none',
        )
    return tracks[0]


def _thinned(
    frames: Iterable[tuple[int, np.ndarray]], every: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Every k-th frame, and the last."""
    skipped: Optional[tuple[int, np.ndarray]] = None
    for position, item in enumerate(frames):
        skipped = None if position % every == 0 else item
        if skipped is None:
            yield item
    if skipped is not None:
        yield skipped


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of boxes.

    Args:
        first (np.ndarray): Boxes with an area, (N, 4).
        second (np.ndarray): Boxes with an area, (M, 4).

    Returns:
        np.ndarray: (N, M).
    """
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (bottom_right - top_left).clip(0).prod(-1)  # (N, M)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


@dataclass(eq=False)
class _Live:
    """A face while the clip is read."""

    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    missed: int = 0  # looks since the last box

    def expected(self) -> np.ndarray:
        """Where the face is looked for, boxes of two places, (2, 4).

        Where its motion has led to; over a gap also where it was, for heads
        stop and turn back. Without a gap both are one.
        """
        last = self.boxes[-1]
        moved = last + np.tile(self.shift * self.missed, 2)
        return np.stack([moved, last if self.missed > 1 else moved])

    def add(self, frame: int, box: np.ndarray, score: float) -> None:
        if self.boxes:
            moved = box - self.boxes[-1]
            step = (moved[:2] + moved[2:]) / 2 / self.missed
            # The first step is all that is known of the motion; later ones
            # count by half, for boxes jitter.
            share = 0.5 if len(self.boxes) > 1 else 1.0
            self.shift = (1 - share) * self.shift + share * step
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)
        self.missed = 0


def track_faces(
    detections: Iterable[tuple[int, np.ndarray]],
    max_lost: int = 30,
    min_iou: float = 0.1,
) -> list[FaceTrack]:
    """Join the detections of a clip to tracks, one a face.

    In each frame, known faces are shifted by their last motion and matched
    with the detections such that the sum of the IoU is greatest (Hungarian
    method): faces side by side keep their names. A face that was missed is
    looked for where its motion has led to by now, and where it was last.
    Boxes are all that is compared. Of a clip with a cut, a face in the place
    of another may go on in the other's track.

    Args:
        detections (Iterable[tuple[int, np.ndarray]]): Number of each frame
            that was looked at, ascending, and its faces, (K, 5), also if
            there is none.
        max_lost (int): Frames looked at in vain after which a face that
            comes back is a new one. Defaults to 30.
        min_iou (float): Least IoU of a match. Defaults to 0.1.

    Returns:
        list[FaceTrack]: The tracks, the main one first (:func:`order`).

    Raises:
        ValueError: For a wrong argument, or frames out of order.
    """
    if max_lost < 0 or not 0 < min_iou <= 1:
        raise ConfigError(
            'track_faces: max_lost must be 0 or more and min_iou in (0, 1], '
            f'got {max_lost} and {min_iou}'
        )
    looked: list[int] = []
    faces: list[_Live] = []
    live: list[_Live] = []
    for number, found in detections:
        if looked and number <= looked[-1]:
            raise ConfigError(
                'track_faces: frame numbers must ascend, got '
                f'{number} after {looked[-1]}'
            )
        looked.append(int(number))
        found = np.asarray(found, np.float64).reshape(-1, 5)
        new = _extend(live, int(number), found, min_iou)
        faces += new
        live = [face for face in live + new if face.missed <= max_lost]
    every = np.array(looked, np.int64)
    return order(
        FaceTrack(face.frames, np.stack(face.boxes), face.scores, every)
        for face in faces
    )


def _extend(
    live: list[_Live], number: int, found: np.ndarray, min_iou: float
) -> list[_Live]:
    """Give the known faces their detections; the rest are new faces."""
    for face in live:
        face.missed += 1
    new = set(range(len(found)))
    if live and len(found):
        expected = np.concatenate([face.expected() for face in live])
        iou = box_iou(expected, found[:, :4])  # (2 L, K)
        iou = iou.reshape(len(live), 2, -1).max(1)  # (L, K)
        # Pairs that will not be made must not push others aside.
        iou[iou < min_iou] = 0
        for i, j in zip(*linear_sum_assignment(-iou), strict=True):
            if iou[i, j] > 0:
                live[i].add(number, found[j, :4], found[j, 4])
                new.discard(j)
    started = []
    for j in sorted(new):
        started.append(_Live())
        started[-1].add(number, found[j, :4], found[j, 4])
    return started


def order(tracks: Iterable[FaceTrack]) -> list[FaceTrack]:
    """Sort tracks, the largest and most persistent face first.

    The measure is size times persistence: the sum, over the frames in which
    the face was detected, of the square root of its box's area. A face of
    half the width must be there twice as often. Of equals, the earlier comes
    first, then the one further left.
    """
    return sorted(tracks, key=lambda t: (-t.size, t.frames[0], *t.boxes[0]))


def fill_gaps(track: FaceTrack, max_gap: int) -> FaceTrack:
    """Fill in boxes where a face was lost for a few frames.

    Between two detections boxes are interpolated linearly in time. At the
    clip's two ends, where there is no second detection, the last box stays.
    A longer gap is left as it is. So is, at an end, the time before a face
    that came later: it was not there.

    Args:
        track (FaceTrack): The track.
        max_gap (int): Frames looked at in vain that make a short gap, at
            most.

    Returns:
        FaceTrack: With more frames, whose scores are NaN.
    """
    ranks = np.searchsorted(track.looked, track.frames)
    edges = np.concatenate([[-1], ranks, [len(track.looked)]])
    gaps = np.diff(edges) - 1
    short = [
        np.arange(first + 1, first + 1 + gap)
        for first, gap in zip(edges[:-1], gaps, strict=True)
        if 0 < gap <= max_gap
    ]
    if not short:
        return track
    added = track.looked[np.concatenate(short)]
    frames = np.concatenate([track.frames, added])
    # np.interp holds the first and the last value beyond them.
    filled = [np.interp(added, track.frames, side) for side in track.boxes.T]
    boxes = np.concatenate([track.boxes, np.stack(filled, axis=1)])
    scores = np.concatenate([track.scores, np.full(len(added), np.nan)])
    by_time = np.argsort(frames)
    return FaceTrack(
        frames[by_time], boxes[by_time], scores[by_time], track.looked
    )


def smooth(track: FaceTrack, sigma: float) -> FaceTrack:
    r"""Take the jitter of the detector out of a track.

    Centre and size of each box become the value at its own frame
    :math:`t_i` of the line that fits its neighbours best (local linear
    regression), weighted by :math:`\exp(-(t_j - t_i)^2 / 2 \sigma^2)` up to
    :math:`3 \sigma` away. A face at rest or in steady motion stays as it is,
    at the ends of the clip too and however the frames are spaced; a moving
    average would cut short there. Nothing is averaged across a gap.

    Args:
        track (FaceTrack): The track.
        sigma (float): Width in frames; 0 leaves the track as it is.

    Returns:
        FaceTrack: With other boxes.
    """
    if sigma <= 0:
        return track
    low, high = track.boxes[:, :2], track.boxes[:, 2:]
    moved = _local_lines(track, (low + high) / 2, sigma)  # (F, 2)
    sizes = high - low
    grown = _local_lines(track, sizes, sigma) / 2  # (F, 2)
    # As changes, so that a box at rest stays to the bit.
    boxes = track.boxes + np.hstack([moved - grown, moved + grown])
    return FaceTrack(track.frames, boxes, track.scores, track.looked)


def _local_lines(
    track: FaceTrack, values: np.ndarray, sigma: float
) -> np.ndarray:
    """What the lines through the neighbours add to each value, (F, D)."""
    run = np.concatenate([[0], np.cumsum(~track.connected)])
    times = track.frames.astype(np.float64)
    index = np.arange(len(track))
    s0, s1, s2 = np.zeros((3, len(track), 1))
    t0, t1, least, most = np.zeros((4, *values.shape))
    reach = min(int(np.ceil(3 * sigma)), len(track) - 1)
    for offset in range(-reach, reach + 1):
        near = (index + offset).clip(0, len(track) - 1)
        away = times[near] - times
        apart = (near != index + offset) | (run[near] != run)
        apart |= np.abs(away) > 3 * sigma
        weight = np.where(apart, 0, np.exp(-0.5 * (away / sigma) ** 2))
        weight, away = weight[:, None], away[:, None]  # (F, 1)
        change = np.where(apart[:, None], 0, values[near] - values)  # (F, D)
        s0 += weight
        s1 += weight * away
        s2 += weight * away**2
        t0 += weight * change
        t1 += weight * away * change
        least, most = np.minimum(least, change), np.maximum(most, change)
    spread = s0 * s2 - s1**2
    alone = spread <= 1e-9 * s0 * s2  # no neighbour to draw a line through
    line = (s2 * t0 - s1 * t1) / np.where(alone, 1, spread)
    # Beside a jump a line shoots beyond, and a size would turn negative.
    return np.where(alone, 0, line).clip(least, most)
