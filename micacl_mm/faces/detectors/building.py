"""Detectors by a short name, a registered name or a config."""

from collections.abc import Callable
from typing import Optional, Union

import numpy as np
from mmaction.utils import ConfigType

from micacl_mm.registry import TASK_UTILS

Detector = Callable[[np.ndarray], np.ndarray]
SHORT = {'centerface': 'CenterFaceDetector', 'haar': 'HaarFaceDetector'}


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

    Returns:
        Callable | None: The detector; None for ``'none'``.

    Raises:
        ValueError: If there is no such detector.

    Example:
        >>> build_detector('haar', max_side=320)
    """
    if isinstance(face, str):
        if face.lower() == 'none':
            return None
        face = dict(type=SHORT.get(face.lower(), face), **kwargs)
    elif isinstance(face, dict):
        face = {**face, **kwargs}
    if not isinstance(face, dict):
        if callable(face):
            return face
        raise ValueError(
            'build_detector: a detector must be a name, a config or a '
            f'callable, got {face!r}'
        )
    if _find(face.get('type')) is None:
        raise ValueError(
            f'build_detector: no face detector {face.get("type")!r}; take '
            f'{", ".join(SHORT)}, or register yours in micacl_mm.registry.'
            'TASK_UTILS and name it with its module, my_module.MyDetector'
        )
    detector = TASK_UTILS.build(face)
    if not callable(detector):
        raise ValueError(
            f'build_detector: {face["type"]} is no face detector: it cannot '
            'be called with a frame; see BaseFaceDetector'
        )
    return detector


def _find(kind: object) -> object:
    """What a type stands for, None for an unknown name."""
    if not isinstance(kind, str):
        return kind
    try:
        return TASK_UTILS.get(kind)
    except (ImportError, RuntimeError):  # a module that is not there
        return None
