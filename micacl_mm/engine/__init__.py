"""Hooks, and how the stock tools are started."""

from .hooks import ClassCountsHook, ResultHook

__all__ = ['ClassCountsHook', 'ResultHook']
