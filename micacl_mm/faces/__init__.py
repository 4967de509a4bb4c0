"""Faces in clips: detectors, tracks and crops."""

from .cropping import CropFaces, crop_face, eye_roll, square_boxes
from .detectors import (
    BaseFaceDetector,
    CenterFaceDetector,
    HaarFaceDetector,
    QuickDetector,
    build_detector,
)
from .tracking import (
    FaceTrack,
    NoFaceError,
    every_kth,
    fill_gaps,
    find_faces,
    main_face,
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
    'QuickDetector',
    'build_detector',
    'crop_face',
    'every_kth',
    'eye_roll',
    'fill_gaps',
    'find_faces',
    'main_face',
    'smooth',
    'square_boxes',
    'track_faces',
]
