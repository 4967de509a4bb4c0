"""Face detectors, registered in ``TASK_UTILS``."""

from .base_face_detector import BaseFaceDetector, check_boxes, check_frame
from .building import Detector, build_detector
from .center_face_detector import CenterFaceDetector
from .haar_face_detector import HaarFaceDetector

__all__ = [
    'BaseFaceDetector',
    'CenterFaceDetector',
    'Detector',
    'HaarFaceDetector',
    'build_detector',
    'check_boxes',
    'check_frame',
]
