"""Datasets of dynamic facial expressions and their transforms."""

from .base_dfer_dataset import BaseDFERDataset
from .dfew_dataset import DFEWDataset
from .ferv39k_dataset import FERV39kDataset
from .transforms import SampleInstances

__all__ = [
    'BaseDFERDataset',
    'DFEWDataset',
    'FERV39kDataset',
    'SampleInstances',
]
