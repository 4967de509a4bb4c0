"""Models: the bag contract, backbones, necks, losses and their parts."""

from .backbones import FrameBackbone
from .losses import MCCLLoss
from .necks import GEIIM, WIAN, BaseBagNeck, NeckChain, PassThroughNeck
from .recognizers import carry_bag_necks

carry_bag_necks()

__all__ = [
    'BaseBagNeck',
    'FrameBackbone',
    'GEIIM',
    'MCCLLoss',
    'NeckChain',
    'PassThroughNeck',
    'WIAN',
]
