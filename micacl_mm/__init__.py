"""MICACL for MMAction2: dynamic facial expression recognition as MIL.

``import micacl_mm`` registers everything in MMAction2's registries; the public
classes also stand here, so that ``type='micacl_mm.GEIIM'`` works without any
import line in a config.
"""

# ruff: noqa: E402  the checks and cures must run before MMAction2 is imported
from .environment import check_versions

check_versions()

from . import compat

compat.apply()

from .apis import DFERInferencer, explain, occlusion
from .datasets import (
    BaseDFERDataset,
    ClassAwareBatchSampler,
    ClassBalancedSampler,
    ClassFolderDataset,
    ClipColorJitter,
    CropFaces,
    DFEWDataset,
    FaceFrameDecode,
    FastVideoInit,
    FERV39kDataset,
    SampleInstances,
)
from .evaluation import RecallMetric
from .faces import CenterFaceDetector, HaarFaceDetector
from .hooks import (
    ChannelsLastHook,
    ClassCountsHook,
    ConsistencyHook,
    GradientCachingHook,
    LogitAdjustmentHook,
    NonFiniteLossHook,
    ResultHook,
    SafeCheckpointHook,
    SafeDataHook,
)
from .models import (
    GEIIM,
    WIAN,
    BagDataPreprocessor,
    BaseBagNeck,
    FrameBackbone,
    LongTailCrossEntropyLoss,
    MCCLLoss,
    NeckChain,
    PassThroughNeck,
    ResNet3d,
)
from .version import __version__

__all__ = [
    'BagDataPreprocessor',
    'BaseBagNeck',
    'BaseDFERDataset',
    'CenterFaceDetector',
    'ChannelsLastHook',
    'ClassAwareBatchSampler',
    'ClassBalancedSampler',
    'ClassCountsHook',
    'ClassFolderDataset',
    'ClipColorJitter',
    'ConsistencyHook',
    'CropFaces',
    'DFERInferencer',
    'DFEWDataset',
    'FERV39kDataset',
    'FaceFrameDecode',
    'FastVideoInit',
    'FrameBackbone',
    'GEIIM',
    'GradientCachingHook',
    'HaarFaceDetector',
    'LogitAdjustmentHook',
    'LongTailCrossEntropyLoss',
    'MCCLLoss',
    'NeckChain',
    'NonFiniteLossHook',
    'PassThroughNeck',
    'RecallMetric',
    'ResNet3d',
    'ResultHook',
    'SafeCheckpointHook',
    'SafeDataHook',
    'SampleInstances',
    'WIAN',
    '__version__',
    'explain',
    'occlusion',
]
