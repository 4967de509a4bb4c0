"""Hooks, and how the stock tools are started."""

from .hooks import (
    ChannelsLastHook,
    ClassCountsHook,
    ConsistencyHook,
    GradientCachingHook,
    NonFiniteLossHook,
    ResultHook,
    SafeCheckpointHook,
    SafeDataHook,
)

__all__ = [
    'ChannelsLastHook',
    'ClassCountsHook',
    'ConsistencyHook',
    'GradientCachingHook',
    'NonFiniteLossHook',
    'ResultHook',
    'SafeCheckpointHook',
    'SafeDataHook',
]
