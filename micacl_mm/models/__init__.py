"""Models: the bag contract, backbones, necks, losses and their parts."""

from .backbones import FrameBackbone
from .data_preprocessors import BagDataPreprocessor
from .losses import LongTailCrossEntropyLoss, MCCLLoss
from .necks import GEIIM, WIAN, BaseBagNeck, NeckChain, PassThroughNeck
from .recognizers import carry_bag_necks

carry_bag_necks()

__all__ = [
    'BagDataPreprocessor',
    'BaseBagNeck',
    'FrameBackbone',
    'GEIIM',
    'LongTailCrossEntropyLoss',
    'MCCLLoss',
    'NeckChain',
    'PassThroughNeck',
    'WIAN',
]
