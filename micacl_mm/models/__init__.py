"""Models: the bag contract, backbones, necks, losses and their parts."""

from .backbones import FrameBackbone, ResNet3d
from .bag_data_preprocessor import BagDataPreprocessor
from .losses import LongTailCrossEntropyLoss, MCCLLoss
from .necks import GEIIM, WIAN, BaseBagNeck, NeckChain, PassThroughNeck
from .recognizers import carry_bag_necks, let_heads_take_bfloat16

carry_bag_necks()
let_heads_take_bfloat16()

__all__ = [
    'BagDataPreprocessor',
    'BaseBagNeck',
    'FrameBackbone',
    'GEIIM',
    'LongTailCrossEntropyLoss',
    'MCCLLoss',
    'NeckChain',
    'PassThroughNeck',
    'ResNet3d',
    'WIAN',
]
