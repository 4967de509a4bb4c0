"""Which faces of a clip are looked at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Optional, Union

import numpy as np
from mmaction.utils import ConfigType

from micacl_mm.faces import CropFaces, build_detector, find_faces, main_face

from .clips import Clip, ClipError
from .predictions import ClipPrediction

#: Looks for faces a second; boxes between are interpolated.
LOOKS_PER_SECOND = 10
#: Shorter gaps are filled; after longer ones a face is a new one.
FILLED_SECONDS, LOST_SECONDS = 0.5, 3.0
#: Beside the main face, those that are seen for less are none, or passers-by.
LEAST_SECONDS = 0.5


class FaceFinder:
    """Finds the faces of clips, or takes the clips for face crops.

    Args:
        face (str or dict): ``'none'``, or a detector, see
            :func:`~micacl_mm.faces.build_detector`.
        faces (str): ``'main'`` or ``'all'``.
        margin (float): Room around the face, as a share of its size. Defaults
            to 0.15.

    Raises:
        ValueError: Another ``faces``, or an unknown detector.
    """

    def __init__(
        self,
        face: Union[str, ConfigType, Callable],
        faces: str,
        margin: float = 0.15,
    ) -> None:
        if faces not in ('main', 'all'):
            raise ValueError(f"faces must be 'main' or 'all', got {faces!r}")
        self.detector = build_detector(face)
        self.faces = faces
        # By tracks alone.
        self.crop = CropFaces(detector=None, margin=margin)

    def find(
        self, clip: Clip, prediction: ClipPrediction
    ) -> list[ClipPrediction]:
        """One prediction for each face that is to be looked at.

        Args:
            clip (Clip): An open one.
            prediction (ClipPrediction): An empty one, to be copied.

        Raises:
            ClipError: There is no face, or a frame cannot be read.
        """
        if self.detector is None:
            return [prediction]
        every = max(1, round(clip.fps / LOOKS_PER_SECOND))
        try:
            tracks = find_faces(
                _frames_of(clip),
                self.detector,
                every,
                max_gap=round(FILLED_SECONDS * clip.fps / every),
                max_lost=round(LOST_SECONDS * clip.fps / every),
            )
            main = main_face(tracks, clip.path)
        except ClipError:
            raise
        except ValueError as error:
            raise ClipError(str(error)) from None
        if self.faces == 'main':
            tracks = [main]
        numbers, found = np.arange(len(clip)), []
        for track in tracks:
            _, seen = track.boxes_at(numbers)
            if track is not main and seen.sum() < LEAST_SECONDS * clip.fps:
                continue
            part = replace(prediction, face=len(found), track=track, bags=[])
            part.frames_without_face = numbers[~seen].tolist()
            found.append(part)
        return found

    def crop_of(
        self, prediction: ClipPrediction, by_pipeline: bool = False
    ) -> Optional[Callable]:
        """A transform that crops this face; None where there is none.

        Args:
            prediction (ClipPrediction): Of a face, or of a whole clip.
            by_pipeline (bool): A later step crops, which only has to know
                where the face is. Defaults to False.
        """
        if prediction.track is None:
            return None

        def crop(results: dict) -> dict:
            results = {**results, 'face_track': prediction.track}
            return results if by_pipeline else self.crop(results)

        return crop


def _frames_of(clip: Clip) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture of each frame."""
    for index in range(len(clip)):
        try:
            yield index, clip.frame(index)
        except ClipError:
            raise
        except Exception:  # as many kinds of errors as libraries
            raise ClipError(
                f'{clip.path}: frame {index} of {len(clip)} cannot be read, '
                'the file is damaged'
            ) from None
