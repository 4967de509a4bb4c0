"""Hooks, and how the stock tools are started."""

from .hooks import ChannelsLastHook, ClassCountsHook, ResultHook

__all__ = ['ChannelsLastHook', 'ClassCountsHook', 'ResultHook']
