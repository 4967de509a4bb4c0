"""From the frames of a clip to its faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

import numpy as np

from .detectors import Detector, check_boxes, check_frame
from .errors import NoFaceError
from .face_track import FaceTrack
from .tracking import fill_gaps, smooth, track_faces


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
        raise ValueError(
            'find_faces: every must be 1 or more, max_gap and smoothing 0 or '
            f'more, got {every}, {max_gap} and {smoothing}'
        )
    detections = (
        (number, _detect(detector, frame))
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
            f'{clip}: no face found in any frame; leave the clip out if it '
            'shows none, lower the threshold of the detector or take another '
            'if it does, and use none (--face none) if it is a face crop '
            'already'
        )
    return tracks[0]


def _detect(detector: Detector, frame: np.ndarray) -> np.ndarray:
    # Again here, for a detector may be any callable.
    name = getattr(detector, '__name__', type(detector).__name__)
    check_frame(frame, name)
    return check_boxes(detector(frame), frame, name)


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
