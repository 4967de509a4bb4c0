"""Transforms for clips of faces."""

from .sample_instances import SampleInstances

__all__ = ['SampleInstances']
