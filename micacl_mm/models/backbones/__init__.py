"""Backbones."""

from .frame_backbone import FrameBackbone

__all__ = ['FrameBackbone']
