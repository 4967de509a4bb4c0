"""Registered hooks."""

from .channels_last_hook import ChannelsLastHook
from .class_counts_hook import ClassCountsHook
from .result_hook import ResultHook

__all__ = ['ChannelsLastHook', 'ClassCountsHook', 'ResultHook']
