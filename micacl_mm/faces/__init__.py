"""Faces in clips: detectors, tracks and crops."""

from .crop_faces import CropFaces
from .cropping import crop_face, square_boxes
from .detectors import (
    BaseFaceDetector,
    CenterFaceDetector,
    HaarFaceDetector,
    build_detector,
)
from .errors import NoFaceError
from .face_track import FaceTrack
from .finding import find_faces, main_face
from .tracking import fill_gaps, order, smooth, track_faces

__all__ = [
    'BaseFaceDetector',
    'CenterFaceDetector',
    'CropFaces',
    'FaceTrack',
    'HaarFaceDetector',
    'NoFaceError',
    'build_detector',
    'crop_face',
    'fill_gaps',
    'find_faces',
    'main_face',
    'order',
    'smooth',
    'square_boxes',
    'track_faces',
]
