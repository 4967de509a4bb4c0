"""Transforms for clips of faces."""

from .crop_faces import CropFaces
from .sample_instances import SampleInstances

__all__ = ['CropFaces', 'SampleInstances']
