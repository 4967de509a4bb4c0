"""What every face detector is."""

from abc import ABC, abstractmethod
from typing import Any

import cv2
import numpy as np


class BaseFaceDetector(ABC):
    """Finds the faces of one frame.

    A detector of your own needs :meth:`detect` alone and a line of
    registration; the model goes into :meth:`load`, so that it is built where
    it is used first: a detector is sent to worker processes without it.

    Calling a detector takes a frame of shape (H, W, 3), uint8, RGB, and gives
    the faces as float32 of shape (K, 5): ``x1, y1, x2, y2, score``, in pixels
    of the frame, of which pixel i covers i to i + 1. A higher score is a
    surer face; scores are compared, never read as probabilities. A box may
    reach over the border of the frame.

    Raises:
        TypeError, ValueError: For a frame or boxes of another kind.

    Example:
        >>> @TASK_UTILS.register_module()
        ... class WholeFrame(BaseFaceDetector):
        ...     def detect(self, frame):
        ...         height, width = frame.shape[:2]
        ...         return [[0, 0, width, height, 1]]
    """

    _model = None

    @property
    def model(self) -> Any:
        """What :meth:`load` gave, built at the first use in a process."""
        if self._model is None:
            self._model = self.load()
        return self._model

    def load(self) -> Any:
        """Build the model."""
        raise NotImplementedError(f'{type(self).__name__} has no model')

    @abstractmethod
    def detect(self, frame: np.ndarray) -> Any:
        """Find the faces of a checked frame, (K, 5) or an empty list."""

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of a frame, (H, W, 3) to (K, 5)."""
        name = type(self).__name__
        check_frame(frame, name)
        return check_boxes(self.detect(frame), frame, name)

    def __getstate__(self) -> dict:
        return {k: v for k, v in vars(self).items() if k != '_model'}


def check_frame(frame: np.ndarray, name: str) -> None:
    """Refuse whatever is not an RGB frame of bytes.

    Args:
        frame (np.ndarray): To be (H, W, 3), uint8.
        name (str): Who asks, for the message.

    Raises:
        TypeError: For another type of its numbers.
        ValueError: For another shape.
    """
    got = getattr(frame, 'dtype', type(frame).__name__)
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        raise TypeError(
            f'{name}: a frame must be a numpy array of uint8, got {got}; '
            'floats in 0..1 become it by (255 * frame).astype(np.uint8), and '
            'stock Normalize belongs after the faces are cropped'
        )
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(
            f'{name}: a frame must have shape (H, W, 3), RGB, got '
            f'{frame.shape}; a grey one becomes it by '
            'np.repeat(frame[..., None], 3, axis=2)'
        )


def check_boxes(boxes: Any, frame: np.ndarray, name: str) -> np.ndarray:
    """Bring what a detector gave into one form.

    Args:
        boxes (Any): Array or lists, (K, 5); anything empty is no face.
        frame (np.ndarray): The frame, (H, W, 3).
        name (str): Name of the detector, for the message.

    Returns:
        np.ndarray: (K', 5), float32, without boxes that have no area or lie
        outside the frame.

    Raises:
        ValueError: For another shape, or for numbers that are not finite.
    """
    boxes = np.array(boxes, np.float32)
    if not boxes.size:
        return np.zeros((0, 5), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 5 or not np.isfinite(boxes).all():
        raise ValueError(
            f'{name}: faces must be (K, 5), x1, y1, x2, y2 and score, all '
            f'finite, got shape {boxes.shape}: {boxes.tolist()}'
        )
    x1, y1, x2, y2, _ = boxes.T
    height, width = frame.shape[:2]
    inside = (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)
    return boxes[inside & (x2 > x1) & (y2 > y1)]


def shrink(frame: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """Make a frame's longer side ``max_side`` at most.

    Args:
        frame (np.ndarray): The frame, (H, W, 3).
        max_side (int): Pixels.

    Returns:
        tuple[np.ndarray, float]: The frame, and its scale, 1 at most.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return frame, scale


def check_positive(name: str, **values: float) -> None:
    """Refuse arguments that are not above zero."""
    for argument, value in values.items():
        if not value > 0:
            raise ValueError(
                f'{name}: {argument} must be above 0, got {value!r}'
            )
