"""Faces in clips: detectors, tracks and crops."""

from .cropping import CropFaces, crop_face, square_boxes
from .detectors import (
    BaseFaceDetector,
    CenterFaceDetector,
    HaarFaceDetector,
    build_detector,
)
from .tracking import (
    FaceTrack,
    NoFaceError,
    fill_gaps,
    find_faces,
    main_face,
    order,
    smooth,
    track_faces,
)

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
