"""Folds and seeds of one config, over the stock train and test tools."""

from .command import main

__all__ = ['main']
