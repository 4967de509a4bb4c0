"""Registered necks on bags of instances."""

from .base_bag_neck import BaseBagNeck
from .geiim import GEIIM
from .neck_chain import NeckChain
from .pass_through_neck import PassThroughNeck
from .wian import WIAN
