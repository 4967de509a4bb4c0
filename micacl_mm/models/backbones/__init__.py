"""Backbones."""

from .frame_backbone import FrameBackbone
from .resnet3d import ResNet3d

__all__ = ['FrameBackbone', 'ResNet3d']
