"""Cures for what is broken in the installed stack, each only where needed.

Imported before anything of MMAction2. No file of site-packages is touched and
each function can be deleted by itself on the day its cause is gone.
"""

import importlib.util
import sys
import types
import warnings
from pathlib import Path

import torch


def stub_missing_drn() -> None:
    """Stand in for ``mmaction.models.localizers.drn`` where it is missing.

    Wheel and sdist of mmaction2 1.2.0 lack the folder although
    ``mmaction.models`` imports it (mmaction2#2714). The stand-in carries the
    one name that is imported; building that localizer raises.
    """
    name = 'mmaction.models.localizers.drn'
    spec = importlib.util.find_spec('mmaction')
    if spec is None or name in sys.modules:
        return
    package = Path(spec.submodule_search_locations[0])
    if (package / 'models' / 'localizers' / 'drn').exists():
        return

    class DRN:
        """Absent from this build of mmaction2."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'DRN is missing from this mmaction2 wheel; install mmaction2 '
                'from its git repository to use that localizer.'
            )

    parent = types.ModuleType(name)
    parent.__path__ = []
    parent.drn = types.ModuleType(f'{name}.drn')
    parent.drn.DRN = DRN
    sys.modules[name] = parent
    sys.modules[f'{name}.drn'] = parent.drn


def disable_multimodal() -> None:
    """Keep MMAction2's multimodal models from breaking all the others.

    With recent ``transformers`` they fail on import and take
    ``mmaction.models`` with them.
    """
    if importlib.util.find_spec('transformers') is not None:
        import mmaction.utils.dependency as dependency

        dependency.WITH_MULTIMODAL = False


def declare_torchvision_ops() -> None:
    """Declare torchvision's operators where its binary cannot load.

    A torchvision built for CUDA beside a CPU-only torch fails on import
    because ``torchvision::nms`` has no schema. A schema is all that the
    import needs; calling the operator still raises.
    """
    spec = importlib.util.find_spec('torchvision')
    if spec is None or hasattr(torch.ops.torchvision, 'nms'):
        return
    binaries = list(Path(spec.submodule_search_locations[0]).glob('_C.*'))
    try:
        for binary in binaries:
            torch.ops.load_library(binary)
    except OSError:
        library = torch.library.Library('torchvision', 'FRAGMENT')
        signature = '(Tensor dets, Tensor scores, float iou_threshold)'
        for op in ('nms', 'qnms'):
            library.define(f'{op}{signature} -> Tensor')
        # The schemas live as long as the library object does.
        torch.library._micacl_mm_torchvision = library


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's checkpoints.

    From torch 2.6 on that is the default and MMEngine's message hub does not
    pass it (mmengine#1655). The few classes the hub is made of are allowed by
    name and weights_only stays on, so a checkpoint still cannot run code.
    """
    if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        return
    import numpy as np
    from mmengine.logging import HistoryBuffer

    try:
        from numpy._core import multiarray
    except ImportError:
        from numpy.core import multiarray

    def history_method(owner: type, name: str):
        """The only getattr of such a checkpoint: a statistic's method."""
        statistics = ('min', 'max', 'mean', 'current')
        if owner is HistoryBuffer and name in statistics:
            return getattr(owner, name)
        raise ValueError(f'checkpoint asks for {owner!r}.{name}: refused')

    allowed = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        (history_method, 'builtins.getattr'),
    ]
    # The defining module is numpy.core before and numpy._core after NumPy 2;
    # either may have written the file.
    for package in ('numpy.core', 'numpy._core'):
        allowed += [
            (multiarray.scalar, f'{package}.multiarray.scalar'),
            (
                multiarray._reconstruct,
                f'{package}.multiarray._reconstruct',
            ),
        ]
    allowed += [
        type(np.dtype(code)) for code in ('f2', 'f4', 'f8', 'i4', 'i8', 'b1')
    ]
    torch.serialization.add_safe_globals(allowed)


def silence_mmcv_lite() -> None:
    """Keep mmcv-lite from warning of an operator that nothing here uses."""
    warnings.filterwarnings(
        'ignore', message='Fail to import ``MultiScaleDeformableAttention``'
    )


def apply() -> None:
    """Apply every cure. The order matters: imports of MMAction2 come last."""
    silence_mmcv_lite()
    stub_missing_drn()
    declare_torchvision_ops()
    disable_multimodal()
    allow_mmengine_checkpoints()
