"""Datasets of dynamic facial expressions, their samplers and transforms."""

from .base import BaseDFERDataset
from .class_folder_dataset import ClassFolderDataset
from .dfew_dataset import DFEWDataset
from .ferv39k_dataset import FERV39kDataset
from .samplers import ClassAwareBatchSampler, ClassBalancedSampler
from .transforms import (
    ClipColorJitter,
    FaceFrameDecode,
    FastVideoInit,
    SampleInstances,
)

__all__ = [
    'BaseDFERDataset',
    'ClassAwareBatchSampler',
    'ClassBalancedSampler',
    'ClassFolderDataset',
    'ClipColorJitter',
    'DFEWDataset',
    'FERV39kDataset',
    'FaceFrameDecode',
    'FastVideoInit',
    'SampleInstances',
]
