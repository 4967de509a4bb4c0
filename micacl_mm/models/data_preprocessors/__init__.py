"""Registered data preprocessors."""

from .bag_data_preprocessor import BagDataPreprocessor

__all__ = ['BagDataPreprocessor']
