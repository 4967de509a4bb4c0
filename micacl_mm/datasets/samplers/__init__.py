"""Registered samplers."""

from .class_aware_batch_sampler import ClassAwareBatchSampler
from .class_balanced_sampler import ClassBalancedSampler

__all__ = ['ClassAwareBatchSampler', 'ClassBalancedSampler']
