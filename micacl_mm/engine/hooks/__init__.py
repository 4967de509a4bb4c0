"""Registered hooks."""

from .class_counts_hook import ClassCountsHook
from .result_hook import ResultHook

__all__ = ['ClassCountsHook', 'ResultHook']
