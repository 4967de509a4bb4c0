"""Transforms for clips of faces."""

from .clip_color_jitter import ClipColorJitter
from .face_frame_decode import FaceFrameDecode
from .fast_video_init import FastVideoInit
from .sample_instances import SampleInstances

__all__ = [
    'ClipColorJitter',
    'FaceFrameDecode',
    'FastVideoInit',
    'SampleInstances',
]
