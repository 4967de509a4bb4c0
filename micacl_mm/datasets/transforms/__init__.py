"""Transforms for clips of faces."""

from .clip_color_jitter import ClipColorJitter
from .crop_faces import CropFaces
from .face_frame_decode import FaceFrameDecode
from .fast_video_init import FastVideoInit
from .sample_instances import SampleInstances

__all__ = [
    'ClipColorJitter',
    'CropFaces',
    'FaceFrameDecode',
    'FastVideoInit',
    'SampleInstances',
]
