"""Backbones."""

from .frame_backbone import FrameBackbone
from .resnet3d import ResNet3d
