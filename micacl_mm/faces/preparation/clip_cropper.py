"""Crops the faces of one clip."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from micacl_mm.synthetic.set_folder import publish

from ..cropping import crop_face, square_boxes
from ..detectors import Detector
from ..errors import NoFaceError
from ..face_track import FaceTrack
from ..finding import find_faces, main_face
from .settings import CropSettings
from .sources import SourceClip, UnreadableClipError, read_frames

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]


class Outcome(NamedTuple):
    """What became of a clip; ``reason`` is empty unless it failed."""

    path: str
    reason: str = ''
    faces: int = 0
    crops: int = 0
    frames: int = 0


@dataclass(frozen=True)
class ClipCropper:
    """Crops clips, each of which appears whole or not at all.

    Args:
        root (Path): Folder of the crops.
        scratch (Path): Folder of this run alone, on the same disk.
        settings (CropSettings): How.
        detector (Callable): See :class:`BaseFaceDetector`.
    """

    root: Path
    scratch: Path
    settings: CropSettings
    detector: Detector

    def __call__(self, clip: SourceClip) -> Outcome:
        """Crop a clip; what is wrong with the clip comes as a reason."""
        try:
            tracks, numbers = self._find(clip)
            parts = [
                Path(tempfile.mkdtemp(prefix='clip-', dir=self.scratch))
                for _ in tracks
            ]
            crops = self._write(clip, tracks, numbers, parts)
        except (UnreadableClipError, NoFaceError) as error:
            return Outcome(clip.path, str(error))
        except (cv2.error, MemoryError) as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            return Outcome(clip.path, f'cannot be decoded: {reason}')
        # The first face comes last: it tells that the clip is finished.
        targets = self.targets(clip, len(tracks))
        for part, target in list(zip(parts, targets, strict=True))[::-1]:
            os.chmod(part, 0o777 & ~_umask())
            publish(part, target)
        return Outcome(clip.path, '', len(tracks), crops, len(numbers))

    def targets(self, clip: SourceClip, faces: int = 1) -> list[Path]:
        """Folder of each face of a clip."""
        target = self.root / clip.target
        if not self.settings.all_faces:
            return [target]
        # Not with_name: a clip may have no name of its own but '..'.
        return [Path(f'{target}_face{k}') for k in range(faces)]

    def _find(self, clip: SourceClip) -> tuple[list[FaceTrack], list[int]]:
        """Tracks of the faces to crop, and the numbers of all frames."""
        numbers: list[int] = []

        def noted():
            for number, frame in read_frames(clip):
                numbers.append(number)
                yield number, frame

        ours = self.settings
        tracks = find_faces(
            noted(), self.detector, ours.every, ours.max_gap, ours.smoothing
        )
        first = main_face(tracks, Path(clip.path).name)
        if not ours.all_faces:
            return [first], numbers
        others = [t for t in tracks[1:] if t.detected.sum() >= ours.min_frames]
        return [first, *others], numbers

    def _write(
        self,
        clip: SourceClip,
        tracks: Sequence[FaceTrack],
        numbers: Sequence[int],
        parts: Sequence[Path],
    ) -> int:
        """Write the crops of each track into its part; count them.

        The clip is read again, for a long one would not fit into memory.
        """
        found = [track.boxes_at(np.array(numbers)) for track in tracks]
        crops = 0
        for i, (number, frame) in enumerate(read_frames(clip)):
            for (boxes, there), part in zip(found, parts, strict=True):
                if there[i]:
                    square = square_boxes(boxes[i], self.settings.margin)
                    crop = crop_face(frame, square, self.settings.size)
                    _write_image(part / f'{number:05d}.jpg', crop)
                    crops += 1
        return crops


def _write_image(path: Path, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, _QUALITY)
    # Not cv2.imwrite, which says nothing of a full disk but False.
    path.write_bytes(data.tobytes())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
