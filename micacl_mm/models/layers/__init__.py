"""Small parts that the necks are made of."""

from .adaptive_adjacency import AdaptiveAdjacency
from .dmin import DMIN
from .gated_attention import GatedAttention
from .gated_recurrence import GatedRecurrence
from .instance_attention import InstanceAttention
from .mix_hop import MixHop
from .multiscale_conv import MultiscaleConv

__all__ = [
    'AdaptiveAdjacency',
    'DMIN',
    'GatedAttention',
    'GatedRecurrence',
    'InstanceAttention',
    'MixHop',
    'MultiscaleConv',
]
