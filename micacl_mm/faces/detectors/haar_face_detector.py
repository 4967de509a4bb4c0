"""The cascades that come with OpenCV."""

import os

import cv2
import numpy as np

from micacl_mm.registry import TASK_UTILS

from .base_face_detector import BaseFaceDetector, check_positive, shrink


@TASK_UTILS.register_module()
class HaarFaceDetector(BaseFaceDetector):
    """`Viola and Jones <https://doi.org/10.1109/CVPR.2001.990517>`_'s cascade.

    Needs nothing but OpenCV. It finds upright faces that look at the camera,
    misses the others, and takes some patterns for faces: where there is a
    choice, take :class:`CenterFaceDetector`.

    Args:
        cascade (str): File in OpenCV's folder of cascades, or a path.
            Defaults to ``'haarcascade_frontalface_default.xml'``.
        scale_factor (float): Step between the sizes looked for. Defaults to
            1.1.
        min_neighbors (int): Hits that make a face. Defaults to 5.
        min_size (int): Least face, in pixels of the shrunk frame. Defaults
            to 30.
        max_side (int): Longer frames are shrunk to so many pixels. Defaults
            to 640.

    Raises:
        ValueError: For a wrong argument, or a cascade that is not there.
    """

    def __init__(
        self,
        cascade: str = 'haarcascade_frontalface_default.xml',
        scale_factor: float = 1.1,
        min_neighbors: int = 5,
        min_size: int = 30,
        max_side: int = 640,
    ) -> None:
        check_positive(
            type(self).__name__,
            min_neighbors=min_neighbors,
            min_size=min_size,
            max_side=max_side,
            **{'scale_factor - 1': scale_factor - 1},
        )
        self.cascade = cascade
        self.scale_factor = scale_factor
        self.min_neighbors = min_neighbors
        self.min_size = min_size
        self.max_side = max_side
        # An absolute path wins over the folder.
        self._path = os.path.join(cv2.data.haarcascades, cascade)
        if not os.path.isfile(self._path):
            raise ValueError(
                f'{type(self).__name__}: no cascade {self._path}; name a file '
                f'of {cv2.data.haarcascades} or the path of one'
            )

    def load(self) -> cv2.CascadeClassifier:
        """Read the cascade."""
        try:
            cascade = cv2.CascadeClassifier(self._path)
        except (cv2.error, SystemError):  # OpenCV raises either
            cascade = None
        if cascade is None or cascade.empty():
            raise ValueError(
                f'{type(self).__name__}: {self._path} is no cascade of OpenCV'
            )
        return cascade

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of a frame, (H, W, 3) to (K, 5)."""
        small, scale = shrink(frame, self.max_side)
        boxes, _, scores = self.model.detectMultiScale3(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
            scaleFactor=self.scale_factor,
            minNeighbors=self.min_neighbors,
            minSize=(self.min_size, self.min_size),
            outputRejectLevels=True,
        )
        boxes = np.reshape(boxes, (-1, 4)).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]  # width and height to corners
        faces = np.hstack([boxes / scale, np.reshape(scores, (-1, 1))])
        # OpenCV's order is that of its threads.
        return faces[np.lexsort((*faces.T[:4], -faces[:, 4]))]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(cascade={self.cascade!r}, '
            f'scale_factor={self.scale_factor}, '
            f'min_neighbors={self.min_neighbors}, min_size={self.min_size}, '
            f'max_side={self.max_side})'
        )
