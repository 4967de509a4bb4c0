"""Registered hooks."""

from .channels_last_hook import ChannelsLastHook
from .class_counts_hook import ClassCountsHook
from .consistency_hook import ConsistencyHook
from .gradient_caching_hook import GradientCachingHook
from .logit_adjustment_hook import LogitAdjustmentHook
from .non_finite_loss_hook import NonFiniteLossHook
from .result_hook import ResultHook
from .retrain_classifier_hook import RetrainClassifierHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .safe_data_hook import SafeDataHook

__all__ = [
    'ChannelsLastHook',
    'ClassCountsHook',
    'ConsistencyHook',
    'GradientCachingHook',
    'LogitAdjustmentHook',
    'NonFiniteLossHook',
    'ResultHook',
    'RetrainClassifierHook',
    'SafeCheckpointHook',
    'SafeDataHook',
]
