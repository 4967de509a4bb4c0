"""Face crops out of the decoded frames of a clip."""

from typing import Optional, Union

import numpy as np
from mmaction.utils import ConfigType
from mmcv.transforms import BaseTransform

from micacl_mm.registry import TRANSFORMS

from .cropping import crop_face, square_boxes
from .detectors import Detector, build_detector
from .errors import NoFaceError
from .face_track import FaceTrack
from .finding import find_faces, main_face

_CENTERFACE = dict(type='CenterFaceDetector')
# Their coordinates would have to move with a crop that moves.
_NOT_CROPPED = ('keypoint', 'gt_bboxes', 'proposals', 'lazy')


@TRANSFORMS.register_module()
class CropFaces(BaseTransform):
    """Crop the main face of a clip, the largest and most persistent.

    It stands behind a decoding transform. Faces are looked for in the decoded
    frames alone, each once and in temporal order; where a whole clip is at
    hand, a ``face_track`` knows more. For training, crop a set once by
    ``micacl crop-faces`` instead: it looks at every frame, and once.

    Required keys: ``imgs``, RGB, uint8, and ``frame_inds``, their numbers.
    ``face_track`` (a :class:`FaceTrack` with the same numbers) is used
    instead of the detector if it is there.

    Modified keys: ``imgs``, ``img_shape``. Added keys: ``face_track``;
    ``face_boxes``, the squares that were cut out in pixels of the frames,
    (N, 4), float32; ``frames_without_face``, the sorted numbers of frames
    that show the place where the face was last or next.

    Args:
        detector (dict | Callable | str, optional): As for
            :func:`build_detector`; None if every clip brings its
            ``face_track``. Defaults to ``dict(type='CenterFaceDetector')``.
        margin (float): Room on each side, as a share of the face's longer
            side. Defaults to 0.15.
        size (int, optional): Side of the crops in pixels. None stands for the
            clip's largest square, rounded. Defaults to 224.
        max_gap (int): Boxes are interpolated over gaps of so many decoded
            frames. Defaults to 4.
        smoothing (float): Width of the smoothing in frames of the clip.
            Defaults to 2.0.
        missing (str): What to do about other frames without a face.
            ``'nearest'`` takes the box nearest in time, ``'raise'`` raises.
            Defaults to ``'nearest'``.

    Raises:
        NoFaceError: For a clip without any face, or by ``missing='raise'``.
        ValueError: For a wrong argument, or frames that cannot be cropped.

    Example:
        >>> pipeline = [
        ...     dict(type='DecordInit'),
        ...     dict(type='SampleInstances'),
        ...     dict(type='DecordDecode'),
        ...     dict(type='CropFaces', size=112),
        ...     dict(type='FormatShape', input_format='NCTHW'),
        ... ]
    """

    def __init__(
        self,
        detector: Union[ConfigType, Detector, str, None] = _CENTERFACE,
        margin: float = 0.15,
        size: Optional[int] = 224,
        max_gap: int = 4,
        smoothing: float = 2.0,
        missing: str = 'nearest',
    ) -> None:
        if missing not in ('nearest', 'raise'):
            raise ValueError(
                "CropFaces: missing must be 'nearest' or 'raise', got "
                f'{missing!r}'
            )
        if size is not None and (not isinstance(size, int) or size < 1):
            raise ValueError(
                f'CropFaces: size must be a positive integer, got {size!r}'
            )
        if not margin > -0.5 or max_gap < 0 or smoothing < 0:
            raise ValueError(
                'CropFaces: margin must be above -0.5, max_gap and smoothing '
                f'0 or more, got {margin}, {max_gap} and {smoothing}'
            )
        self.config = detector
        self.detector = None
        if detector is not None:
            self.detector = build_detector(detector)
        self.margin = margin
        self.size = size
        self.max_gap = max_gap
        self.smoothing = smoothing
        self.missing = missing

    def transform(self, results: dict) -> dict:
        """Replace the frames by crops of the face.

        Args:
            results (dict): The clip's data.

        Returns:
            dict: The same with the modified and added keys.
        """
        clip = _name(results)
        images = results['imgs']
        numbers = np.asarray(results['frame_inds'], np.int64).reshape(-1)
        unfit = [key for key in _NOT_CROPPED if key in results]
        if unfit or len(images) != len(numbers):
            raise ValueError(
                f'CropFaces: {clip} has {", ".join(unfit) or "no"} keys that '
                f'cannot be cropped along, {len(images)} images and '
                f'{len(numbers)} frame_inds; put it right behind the decoding '
                'of RGB frames, and no lazy transform in front'
            )
        track = results.get('face_track')
        if track is None:
            track = self._find(images, numbers, clip)
        boxes, found = track.boxes_at(numbers)
        absent = np.unique(numbers[~found]).tolist()
        if absent and self.missing == 'raise':
            raise NoFaceError(
                f'{clip}: no face in frames {absent}; take '
                "missing='nearest', a larger max_gap, or leave the clip out"
            )
        squares = square_boxes(track.nearest_boxes(numbers), self.margin)
        size = self.size
        if size is None:
            size = max(1, round((squares[:, 2] - squares[:, 0]).max()))
        results['imgs'] = [
            crop_face(image, square, size)
            for image, square in zip(images, squares, strict=True)
        ]
        results['img_shape'] = (size, size)
        results['face_track'] = track
        results['face_boxes'] = squares.astype(np.float32)
        results['frames_without_face'] = absent
        return results

    def _find(
        self, images: list[np.ndarray], numbers: np.ndarray, clip: str
    ) -> FaceTrack:
        """Look for the main face in the decoded frames."""
        if self.detector is None:
            raise ValueError(
                f'CropFaces: {clip} has no face_track, and detector is None; '
                "name a detector, dict(type='CenterFaceDetector')"
            )
        distinct, first = np.unique(numbers, return_index=True)
        frames = [
            (number, images[i])
            for number, i in zip(distinct.tolist(), first, strict=True)
        ]
        tracks = find_faces(
            frames,
            self.detector,
            max_gap=self.max_gap,
            smoothing=self.smoothing,
            # All of a clip's decoded frames are few, so that a face that
            # comes back is the same as long as it comes back in its place.
            max_lost=len(frames),
        )
        return main_face(tracks, clip)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(detector={self.config!r}, '
            f'margin={self.margin}, size={self.size}, '
            f'max_gap={self.max_gap}, smoothing={self.smoothing}, '
            f'missing={self.missing!r})'
        )


def _name(results: dict) -> str:
    """What a person knows the clip by."""
    for key in ('video_id', 'filename', 'frame_dir'):
        if results.get(key):
            return str(results[key])
    return 'the clip'
