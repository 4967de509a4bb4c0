"""Cures for what is broken in the installed stack, each only where needed.

Imported before anything of MMAction2. No file of site-packages is touched and
each function can be deleted by itself on the day its cause is gone.
"""

import importlib.util
import sys
import types

__all__ = ['apply']


def stub_missing_drn() -> None:
    """Stand in for ``mmaction.models.localizers.drn`` where it is missing.

    Wheel and sdist of mmaction2 1.2.0 lack the folder although
    ``mmaction.models`` imports it (mmaction2#2714). The stand-in carries the
    one name that is imported; building that localizer raises.
    """
    package = 'mmaction.models.localizers.drn'
    spec = importlib.util.find_spec('mmaction')
    if spec is None or package in sys.modules:
        return
    from pathlib import Path
    folder = Path(spec.submodule_search_locations[0])
    if (folder / 'models' / 'localizers' / 'drn').exists():
        return

    class DRN:
        """Absent from this build of mmaction2."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'DRN is missing from the mmaction2 1.2.0 wheel; install '
                'mmaction2 from its git repository to use that localizer.')

    parent, module = types.ModuleType(package), types.ModuleType(
        f'{package}.drn')
    parent.__path__, parent.drn, module.DRN = [], module, DRN
    sys.modules[package], sys.modules[module.__name__] = parent, module


def disable_multimodal() -> None:
    """Keep MMAction2's multimodal models from breaking all the others.

    With recent ``transformers`` they fail on import and take
    ``mmaction.models`` with them.
    """
    if importlib.util.find_spec('transformers') is None:
        return
    import mmaction.utils.dependency as dependency
    dependency.WITH_MULTIMODAL = False


def declare_torchvision_ops() -> None:
    """Declare torchvision's operators where its binary cannot load.

    A torchvision built for CUDA beside a CPU-only torch fails on import
    because ``torchvision::nms`` has no schema. Declaring the schemas is
    enough for the models; calling the operators still raises.
    """
    if importlib.util.find_spec('torchvision') is None:
        return
    import torch
    try:
        torch.ops.load_library(_torchvision_binary())
    except OSError:
        pass
    else:
        return
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for schema in ('nms(Tensor dets, Tensor scores, float iou_threshold)'
                   ' -> Tensor',
                   'qnms(Tensor dets, Tensor scores, float iou_threshold)'
                   ' -> Tensor'):
        name = schema.split('(')[0]
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _KEEP.append(library)
