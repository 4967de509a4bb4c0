"""Models: the bag contract, necks, losses and the parts of them."""

from .losses import MCCLLoss
from .necks import GEIIM, WIAN, BaseBagNeck, NeckChain, PassThroughNeck
from .recognizers import carry_bag_necks

carry_bag_necks()

__all__ = [
    'BaseBagNeck',
    'GEIIM',
    'MCCLLoss',
    'NeckChain',
    'PassThroughNeck',
    'WIAN',
]
