"""Cures for what is broken in the installed stack, each only where needed.

Imported before anything of MMAction2. No file of site-packages is touched and
each function can be deleted by itself on the day its cause is gone.
"""

import functools
import importlib.util
import os
import sys
import types
import warnings
from pathlib import Path

import torch

#: Operator schemas live as long as the library objects that declared them.
_kept: list[torch.library.Library] = []


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
    """Keep multimodal models from breaking the import of all the others.

    Those of MMAction2 and of MMPretrain, which MMAction2 imports, need names
    that recent versions of ``transformers`` have dropped.
    """
    flags = []
    for package in ('mmaction', 'mmpretrain'):
        if importlib.util.find_spec(package) is None:
            continue
        try:
            module = importlib.import_module(f'{package}.utils.dependency')
        except (ImportError, AssertionError):
            continue  # a broken one, which its users will hear of
        if module.WITH_MULTIMODAL:
            flags.append(module)
    if not flags:
        return
    try:
        modeling = importlib.import_module('transformers.modeling_utils')
        usable = hasattr(modeling, 'apply_chunking_to_forward')
    except ImportError:
        usable = False
    if not usable:
        for module in flags:
            module.WITH_MULTIMODAL = False
        warnings.warn(
            'multimodal models of MMAction2 and MMPretrain are off: they do '
            'not work with the installed version of transformers',
            stacklevel=2,
        )


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
        _kept.append(library)


class _MayBeFilled:
    """Stands in a checkpoint for a NumPy type that must not be called.

    Called freely, ``numpy.ndarray`` and ``numpy.dtype`` make objects out of
    raw bytes. torch asks by equality whether the state of an instance may be
    set; that is all that a plain array needs.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.kind

    __hash__ = object.__hash__

    def __call__(self, *args):
        raise ValueError(f'checkpoint calls {self.kind.__name__}: refused')


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's checkpoints.

    From torch 2.6 on that is the default and MMEngine's message hub does not
    pass it (mmengine#1655). What the hub is made of is allowed by name:
    histories and NumPy numbers. weights_only stays on, and each name stands
    for a function that makes nothing but a plain number or array of numbers,
    so that a checkpoint still cannot run code or forge objects.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer

    numbers = {
        code: np.dtype(code)
        for code in ('f2', 'f4', 'f8', 'i4', 'i8', 'u1', 'b1')
    }

    def history_method(owner: type, name: str):
        """The only getattr of such a checkpoint: a statistic's method."""
        statistics = ('min', 'max', 'mean', 'current')
        if owner is HistoryBuffer and name in statistics:
            return getattr(owner, name)
        raise ValueError(f'checkpoint asks for {owner!r}.{name}: refused')

    def dtype(code: str, *_) -> np.dtype:
        """One of NumPy's own dtypes, whose state cannot be changed."""
        if code not in numbers:
            raise ValueError(f'checkpoint asks for dtype {code!r}: refused')
        return numbers[code]

    def reconstruct(*_) -> np.ndarray:
        """An empty array, to be filled by its state."""
        return np.ndarray((0,), 'i1')

    def scalar(kind: np.dtype, data: bytes) -> np.generic:
        return np.frombuffer(data, kind, count=1)[0]

    allowed = [
        HistoryBuffer,
        (history_method, 'builtins.getattr'),
        (dtype, 'numpy.dtype'),
        (_MayBeFilled(np.ndarray), 'numpy.ndarray'),
    ]
    for kind in map(type, numbers.values()):
        allowed.append((_MayBeFilled(kind), f'numpy.dtypes.{kind.__name__}'))
    # The defining module is numpy.core before and numpy._core after NumPy 2;
    # either may have written the file.
    for package in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed.append((reconstruct, f'{package}._reconstruct'))
        allowed.append((scalar, f'{package}.scalar'))
    torch.serialization.add_safe_globals(allowed)


def load_downloads_safely() -> None:
    """Read checkpoints that are named by a URL with ``weights_only``, too.

    For these MMEngine calls a function of torch whose default is to unpickle
    whatever is in the file.
    """
    from mmengine.runner import checkpoint

    checkpoint.load_url = functools.partial(
        checkpoint.load_url, weights_only=True
    )


def ignore_stored_configs() -> None:
    """Keep ``Runner.resume`` from running Python out of a checkpoint.

    It hands ``meta['config']`` to ``Config.fromstring``, which executes it,
    only to compare a number of GPUs. MMEngine itself stores its config
    elsewhere: only files of MMCV 1 and forged ones have that entry. It is
    taken out of each checkpoint that is loaded.
    """
    from mmengine.runner import CheckpointLoader

    load = CheckpointLoader.load_checkpoint.__func__

    @functools.wraps(load)
    def load_checkpoint(cls, *args, **kwargs):
        checkpoint = load(cls, *args, **kwargs)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else {}
        if isinstance(meta, dict):
            meta.pop('config', None)
        return checkpoint

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


def warn_of_unsafe_loading() -> None:
    """Say that a variable of the shell makes checkpoints run code."""
    name = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
    if os.environ.get(name, '').lower() in ('1', 'y', 'yes', 'true'):
        warnings.warn(
            f'{name} is set, so that any checkpoint can run code of its '
            'maker when it is loaded; unset it, this package does not need it',
            stacklevel=2,
        )


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
    load_downloads_safely()
    ignore_stored_configs()
    warn_of_unsafe_loading()
