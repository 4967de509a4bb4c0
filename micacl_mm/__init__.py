"""MICACL for MMAction2: dynamic facial expression recognition as MIL.

``import micacl_mm`` makes everything known to MMAction2's registries. Public
classes are attributes of the package, so that ``type='micacl_mm.GEIIM'`` works
without an import line in a config. Modules are imported on first use.
"""

from importlib import import_module
from typing import Any

from .environment import check_versions, is_command
from .version import __version__

_PUBLIC = {
    'apis': ('DFERInferencer', 'explain', 'occlusion'),
    'datasets': (
        'BaseDFERDataset',
        'CAERDataset',
        'ClassAwareBatchSampler',
        'ClassBalancedSampler',
        'ClassFolderDataset',
        'ClipColorJitter',
        'CREMADDataset',
        'DFEWDataset',
        'FaceFrameDecode',
        'FastVideoInit',
        'FERV39kDataset',
        'MAFWDataset',
        'RAVDESSDataset',
        'SampleInstances',
    ),
    'evaluation': ('RecallMetric',),
    'faces': ('CenterFaceDetector', 'CropFaces', 'HaarFaceDetector'),
    'hooks': (
        'ChannelsLastHook',
        'ClassCountsHook',
        'ConsistencyHook',
        'GradientCachingHook',
        'LogitAdjustmentHook',
        'NonFiniteLossHook',
        'ResultHook',
        'RetrainClassifierHook',
        'SafeCheckpointHook',
        'SafeDataHook',
    ),
    'models': (
        'GEIIM',
        'WIAN',
        'BagDataPreprocessor',
        'BaseBagNeck',
        'FrameBackbone',
        'LongTailCrossEntropyLoss',
        'MCCLLoss',
        'NeckChain',
        'PassThroughNeck',
        'ResNet3d',
    ),
}
_MODULES = {name: room for room, names in _PUBLIC.items() for name in names}
_registered = False

__all__ = ['__version__', 'register', *_MODULES]


def register() -> None:
    """Check the stack, apply the cures, and register all classes.

    Called by the import of this package; the command line calls it once it
    knows that it needs more than its help.

    Raises:
        ImportError: The stack is known not to work.
    """
    global _registered
    if _registered:
        return
    check_versions()
    from . import compat

    compat.apply()
    from .registry import add_locations

    add_locations()
    _registered = True


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    register()
    value = getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not is_command():
    register()
