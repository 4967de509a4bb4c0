"""Models: the bag contract, necks, losses and the parts of them."""

from .losses import MCCLLoss
from .necks import GEIIM, WIAN, BaseBagNeck, NeckChain, PassThroughNeck

__all__ = [
    'BaseBagNeck',
    'GEIIM',
    'MCCLLoss',
    'NeckChain',
    'PassThroughNeck',
    'WIAN',
]
