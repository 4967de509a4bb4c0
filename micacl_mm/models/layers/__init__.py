"""Small parts that the necks are made of."""

from .attention import GatedAttention, InstanceAttention
from .dmin import DMIN
from .gated_recurrence import GatedRecurrence
from .graph import AdaptiveAdjacency, MixHop, MultiscaleConv

__all__ = [
    'AdaptiveAdjacency',
    'DMIN',
    'GatedAttention',
    'GatedRecurrence',
    'InstanceAttention',
    'MixHop',
    'MultiscaleConv',
]
