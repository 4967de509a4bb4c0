"""From the frames of a clip to one track a face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment

from micacl_mm.errors import ConfigError, DataError

from .detectors import Detector, detect_checked


class NoFaceError(DataError):
    """A clip, or a frame that must have one, shows no face."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """Boxes of one face in the frames in which faces were looked for.

    Between two neighbouring frames with a box the face is seen, too.

    Args:
        frames (np.ndarray): Numbers of the frames that were looked at,
            ascending, (F,), int.
        boxes (np.ndarray): ``x1, y1, x2, y2`` in pixels, (F, 4); NaN where
            the face is not.
        scores (np.ndarray): Score of each detection, (F,); NaN where there
            is no box, or it was filled in.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        types = dict(frames=np.int64, boxes=np.float64, scores=np.float64)
        for name, kind in types.items():
            value = np.asarray(getattr(self, name), kind)
            object.__setattr__(self, name, value)
        frames, boxes, scores = self.frames, self.boxes, self.scores
        count = len(frames) if frames.ndim == 1 else 0
        fits = boxes.shape == (count, 4) and scores.shape == (count,)
        known = boxes[self.seen] if fits else np.zeros((0, 4))
        if (
            not len(known)
            or (np.diff(frames) <= 0).any()
            or not np.isfinite(known).all()
            or not (known[:, 2:] > known[:, :2]).all()
        ):
            raise DataError(
                'FaceTrack: must have F ascending frames, (F, 4) boxes x1, '
                'y1, x2, y2 with an area, one at least that is not NaN, and '
                f'F scores, got shapes {frames.shape}, {boxes.shape} and '
                f'{scores.shape}'
            )

    @property
    def seen(self) -> np.ndarray:
        """Where there is a box, (F,), bool."""
        return ~np.isnan(self.boxes).all(-1)

    @property
    def detected(self) -> np.ndarray:
        """Which boxes a detector gave, (F,), bool."""
        return ~np.isnan(self.scores)

    @property
    def size(self) -> float:
        """Sum over the detections of the square root of the box's area."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.sqrt(sides.prod(1))[self.detected].sum())

    def boxes_at(self, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) in any N frames, and whether there is one, (N,).

        In gaps and outside the track there is none, but NaN.
        """
        boxes = _interpolate(frames, self.frames, self.boxes, np.nan)
        return boxes, ~np.isnan(boxes).any(1)

    def nearest_boxes(self, frames: Sequence[int]) -> np.ndarray:
        """Boxes in any N frames, or that nearest in time, (N, 4)."""
        boxes, found = self.boxes_at(frames)
        known = self.frames[self.seen]
        lost = np.asarray(frames)[~found]
        nearest = np.abs(lost[:, None] - known).argmin(1)
        boxes[~found] = self.boxes[self.seen][nearest]
        return boxes


def _interpolate(
    frames: Sequence[int],
    known: np.ndarray,
    boxes: np.ndarray,
    beyond: float | None = None,
) -> np.ndarray:
    """Boxes between known ones; those at the ends stay, or ``beyond``."""
    sides = [np.interp(frames, known, k, beyond, beyond) for k in boxes.T]
    return np.stack(sides, axis=-1)


def find_faces(
    frames: Iterable[tuple[int, np.ndarray]],
    detector: Detector,
    max_gap: int = 12,
    smoothing: float = 2.0,
    max_lost: int = 30,
) -> list[FaceTrack]:
    """Find the faces of a clip and follow them.

    Args:
        frames (Iterable[tuple[int, np.ndarray]]): Number and picture of the
            frames to look at in temporal order, taken one by one; (H, W, 3),
            uint8, RGB. They may be every k-th.
        detector (Callable): See :class:`BaseFaceDetector`.
        max_gap (int): Gaps of so many frames looked at in vain are filled
            (:func:`fill_gaps`). Defaults to 12.
        smoothing (float): Width of :func:`smooth` in frames of the clip.
            Defaults to 2.
        max_lost (int): Frames looked at in vain after which a face that
            comes back is a new one; ``max_gap`` if that is more. Defaults
            to 30.

    Returns:
        list[FaceTrack]: One a face, filled and smoothed, the main one
        first; empty if there is no face.

    Example:
        >>> tracks = find_faces(enumerate(images), CenterFaceDetector())
        >>> boxes, found = main_face(tracks, 'my.mp4').boxes_at(range(16))
    """
    if min(max_gap, smoothing, max_lost) < 0:
        raise ConfigError(
            'find_faces: max_gap, smoothing and max_lost must be 0 or more, '
            f'got {max_gap}, {smoothing} and {max_lost}'
        )
    name = getattr(detector, '__name__', type(detector).__name__)
    detections = (
        (number, detect_checked(detector, frame, name))
        for number, frame in frames
    )
    tracks = track_faces(detections, max(max_lost, max_gap))
    return [smooth(fill_gaps(track, max_gap), smoothing) for track in tracks]


def main_face(tracks: Sequence[FaceTrack], clip: str) -> FaceTrack:
    """The largest and most persistent face, or a NoFaceError."""
    if not tracks:
        raise NoFaceError(
            f'{clip}: no face found in any frame',
            'leave the clip out if it shows none; else lower the threshold '
            'of the detector or use another; for face crops use --face none',
        )
    return tracks[0]


def every_kth(
    frames: Iterable[tuple[int, np.ndarray]], k: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Every k-th frame, and the last."""
    skipped = None
    for position, item in enumerate(frames):
        skipped = item if position % k else None
        if skipped is None:
            yield item
    if skipped is not None:
        yield skipped


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs of boxes, (N, 4), (M, 4): (N, M)."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (bottom_right - top_left).clip(0).prod(-1)  # (N, M)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


@dataclass(eq=False)
class _Face:
    """A face while the clip is read."""

    found: dict[int, np.ndarray] = field(default_factory=dict)
    last: np.ndarray = field(default_factory=lambda: np.zeros(5))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    missed: int = 0  # looks since the last box

    def expected(self) -> np.ndarray:
        """Where the face is looked for, boxes of two places, (2, 4)."""
        # Where its motion has led to; over a gap also where it was, for heads
        # stop and turn back.
        last = self.last[:4]
        moved = last + np.tile(self.shift * self.missed, 2)
        return np.stack([moved, last if self.missed > 1 else moved])

    def add(self, look: int, box: np.ndarray) -> None:
        if self.found:
            moved = box - self.last
            step = (moved[:2] + moved[2:4]) / 2 / self.missed
            # The first step is all that is known of the motion; later ones
            # count by half, for boxes jitter.
            share = 0.5 if len(self.found) > 1 else 1.0
            self.shift = (1 - share) * self.shift + share * step
        self.found[look] = self.last = box
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
            that was looked at, ascending, and its faces, (K, 5), K from 0.
        max_lost (int): See :func:`find_faces`.
        min_iou (float): Least IoU of a match. Defaults to 0.1.

    Returns:
        list[FaceTrack]: The one of the largest ``size`` first.
    """
    looked: list[int] = []
    faces: list[_Face] = []
    live: list[_Face] = []
    for number, boxes in detections:
        if looked and number <= looked[-1]:
            raise ConfigError(
                'track_faces: frame numbers must ascend, got '
                f'{number} after {looked[-1]}'
            )
        boxes = np.asarray(boxes, np.float64).reshape(-1, 5)
        new = _extend(live, len(looked), boxes, min_iou)
        looked.append(int(number))
        faces += new
        live = [face for face in live + new if face.missed <= max_lost]
    tracks = []
    for face in faces:
        rows = np.full((len(looked), 5), np.nan)
        rows[[*face.found]] = [*face.found.values()]
        tracks.append(FaceTrack(looked, rows[:, :4], rows[:, 4]))
    return sorted(tracks, key=lambda track: -track.size)


def _extend(
    live: list[_Face], look: int, boxes: np.ndarray, min_iou: float
) -> list[_Face]:
    """Give the known faces their detections; the rest are new faces."""
    for face in live:
        face.missed += 1
    left = set(range(len(boxes)))
    if live and len(boxes):
        expected = np.concatenate([face.expected() for face in live])
        iou = box_iou(expected, boxes[:, :4])  # (2 L, K)
        iou = iou.reshape(len(live), 2, -1).max(1)  # (L, K)
        # Pairs that will not be made must not push others aside.
        iou[iou < min_iou] = 0
        for i, j in zip(*linear_sum_assignment(-iou), strict=True):
            if iou[i, j] > 0:
                live[i].add(look, boxes[j])
                left.discard(j)
    new = []
    for j in sorted(left, key=lambda j: boxes[j].tolist()):
        new.append(_Face())
        new[-1].add(look, boxes[j])
    return new


def fill_gaps(track: FaceTrack, max_gap: int) -> FaceTrack:
    """Fill in boxes where a face was lost for a few frames.

    Between two detections boxes are interpolated linearly in time. At the
    clip's two ends, where there is no second detection, the last box stays.
    A gap of more than ``max_gap`` frames looked at in vain stays. So does, at
    an end, the time before a face that came later: it was not there. The
    scores of the new boxes are NaN.
    """
    seen, index = track.seen, np.arange(len(track.frames))
    before = np.maximum.accumulate(np.where(seen, index, -1))
    after = np.where(seen, index, len(index))
    after = np.minimum.accumulate(after[::-1])[::-1]
    short = after - before - 1 <= max_gap
    known = track.frames[seen], track.boxes[seen]
    boxes = _interpolate(track.frames, *known)
    boxes[~short] = np.nan
    return FaceTrack(track.frames, boxes, track.scores)


def smooth(track: FaceTrack, sigma: float) -> FaceTrack:
    """Take the jitter of the detector out of a track.

    A Gaussian over time, ``sigma`` frames wide, of boxes that are
    interpolated in every frame. At the ends of the clip and of gaps the
    motion is continued, so that a face at rest or in steady motion stays as
    it is; nothing is averaged across a gap.
    """
    boxes = track.boxes.copy()
    edges = np.flatnonzero(np.diff(track.seen, prepend=False, append=False))
    for first, last in edges.reshape(-1, 2) if sigma > 0 else ():
        times = track.frames[first:last]
        every = np.arange(times[0], times[-1] + 1)
        dense = _interpolate(every, times, boxes[first:last])
        reach = min(int(np.ceil(3 * sigma)), len(every) - 1)
        low, high = dense[:, :2], dense[:, 2:]
        dense = np.hstack([(low + high) / 2, (high - low) / 2])
        padded = np.pad(
            dense, ((reach, reach), (0, 0)), 'reflect', reflect_type='odd'
        )
        found = gaussian_filter1d(padded, sigma, axis=0, radius=reach)
        centres, sizes = np.split(found[reach + times - times[0]], 2, axis=1)
        # Beside a jump the continued motion would turn a box over.
        sizes = sizes.clip(dense[:, 2:].min(0), dense[:, 2:].max(0))
        boxes[first:last] = np.hstack([centres - sizes, centres + sizes])
    return FaceTrack(track.frames, boxes, track.scores)
