"""Cut a square around a face out of frames."""

from typing import Optional, Union

import cv2
import numpy as np
from mmaction.utils import ConfigType
from mmcv.transforms import BaseTransform

from micacl_mm.errors import ConfigError, DataError, check_count
from micacl_mm.registry import TRANSFORMS

from .detectors import Detector, build_detector
from .tracking import FaceTrack, find_faces, main_face

_CENTERFACE = dict(type='CenterFaceDetector')
# Their coordinates would have to move with a crop that moves.
_NOT_CROPPED = ('keypoint', 'gt_bboxes', 'proposals', 'lazy')


def square_boxes(boxes: np.ndarray, margin: float = 0.15) -> np.ndarray:
    """Make boxes (..., 4) square, with room around the face.

    Sides become ``1 + 2 * margin`` times the longer side, centres stay. A
    negative margin cuts into the face.
    """
    boxes = np.asarray(boxes, np.float64)
    if not margin > -0.5:
        raise ConfigError(
            f'square_boxes: margin must be above -0.5, got {margin}'
        )
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    longer = (boxes[..., 2:] - boxes[..., :2]).max(-1, keepdims=True)
    half = longer * (0.5 + margin)
    return np.concatenate([centre - half, centre + half], axis=-1)


def eye_roll(eyes: np.ndarray) -> float:
    """Angle in radians by which the line through two eyes (2, 2) is turned.

    In [-pi / 2, pi / 2]; positive if the eye at the right is lower.
    """
    left, right = sorted(np.asarray(eyes, np.float64).tolist())
    return float(np.arctan2(right[1] - left[1], right[0] - left[0]))


def crop_face(
    image: np.ndarray,
    box: np.ndarray,
    size: Optional[int] = None,
    roll: float = 0.0,
) -> np.ndarray:
    """Cut a square out of an image, to the fraction of a pixel.

    Beyond the image its border pixels are repeated. When the crop is shrunk,
    every pixel of the square counts, so that nothing flickers.

    Args:
        image (np.ndarray): (H, W) or (H, W, C).
        box (np.ndarray): ``x1, y1, x2, y2``, where pixel i covers i to i + 1.
            Of an oblong box the square of its longer side is taken.
        size (int, optional): Side of the crop in pixels. None stands for the
            square's own, rounded. Defaults to None.
        roll (float): Angle in radians by which the square is turned about its
            centre, as of :func:`eye_roll`. Defaults to 0.
    """
    box = np.asarray(box, np.float64)
    x1, y1, x2, y2 = square_boxes(box, margin=0.0)
    height, width = image.shape[:2]
    inside = x1 < width and y1 < height and x2 > 0 and y2 > 0
    if not np.isfinite(box).all() or x2 <= x1 or not inside:
        raise DataError(
            'crop_face: the box must be finite, have an area and touch the '
            f'image of {width} x {height} pixels, got {box.tolist()}'
        )
    side = x2 - x1
    size = max(1, round(side)) if size is None else size
    if size < 1:
        raise ConfigError(f'crop_face: size must be 1 or more, got {size}')
    # Bilinear sampling sees 2 x 2 pixels, so a shrunk crop is first sampled
    # at every pixel of the image, then averaged.
    fine = size * max(1, int(np.ceil(side / size - 1e-6)))
    step = side / fine
    # Centres of pixels lie at a half.
    turn = np.array(
        [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    )
    centre = np.array([x1 + x2, y1 + y2]) / 2
    corner = turn @ np.full(2, 0.5 * step - side / 2) + centre - 0.5
    matrix = np.column_stack([step * turn, corner])
    crop = cv2.warpAffine(
        image,
        matrix,
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if fine == size:
        return crop
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


@TRANSFORMS.register_module()
class CropFaces(BaseTransform):
    """Crop the main face of a clip, the largest and most persistent.

    It follows a decoding transform and looks at the decoded frames alone,
    each once. For training, crop a set once by ``micacl crop-faces`` instead.

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

    Raises:
        NoFaceError: For a clip without any face.
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
    ) -> None:
        if size is not None:
            check_count('CropFaces', size=size)
        self.config = detector
        self.detector = detector and build_detector(detector)
        self.margin = margin
        self.size = size
        self.max_gap = max_gap
        self.smoothing = smoothing

    def transform(self, results: dict) -> dict:
        """Replace the frames by crops of the face."""
        clip = (
            results.get('video_id')
            or results.get('filename')
            or results.get('frame_dir', 'the clip')
        )
        images = results['imgs']
        numbers = np.asarray(results['frame_inds'], np.int64).reshape(-1)
        unfit = [key for key in _NOT_CROPPED if key in results]
        if unfit or len(images) != len(numbers):
            raise ConfigError(
                f'CropFaces: {clip} has {", ".join(unfit) or "no"} keys that '
                f'cannot be cropped along, {len(images)} images and '
                f'{len(numbers)} frame_inds',
                'put it right behind the decoding of RGB frames, without a '
                'lazy transform in front',
            )
        track = results.get('face_track')
        if track is None:
            track = self._find(images, numbers, clip)
        boxes, found = track.boxes_at(numbers)
        absent = np.unique(numbers[~found]).tolist()
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
            raise ConfigError(
                f'CropFaces: {clip} has no face_track, and detector is None',
                "name a detector, dict(type='CenterFaceDetector')",
            )
        frames = dict(zip(numbers.tolist(), images, strict=True))
        tracks = find_faces(
            sorted(frames.items()),
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
            f'max_gap={self.max_gap}, smoothing={self.smoothing})'
        )
