"""Registered losses and the functions they are made of."""

from .class_counts import ClassCounts, class_temperatures, class_weights
from .functional import mccl
from .long_tail_cross_entropy_loss import LongTailCrossEntropyLoss
from .mccl_loss import MCCLLoss
