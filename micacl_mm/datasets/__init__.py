"""Datasets of dynamic facial expressions, their samplers and transforms."""

from .actor_datasets import CREMADDataset, RAVDESSDataset
from .base import BaseDFERDataset
from .caer_dataset import CAERDataset
from .class_folder_dataset import ClassFolderDataset
from .dfew_dataset import DFEWDataset
from .ferv39k_dataset import FERV39kDataset
from .mafw_dataset import MAFWDataset
from .samplers import ClassAwareBatchSampler, ClassBalancedSampler
from .transforms import (
    ClipColorJitter,
    FaceFrameDecode,
    FastVideoInit,
    SampleInstances,
)

__all__ = [
    'BaseDFERDataset',
    'CAERDataset',
    'CREMADDataset',
    'ClassAwareBatchSampler',
    'ClassBalancedSampler',
    'ClassFolderDataset',
    'ClipColorJitter',
    'DFEWDataset',
    'FERV39kDataset',
    'FaceFrameDecode',
    'FastVideoInit',
    'MAFWDataset',
    'RAVDESSDataset',
    'SampleInstances',
]
