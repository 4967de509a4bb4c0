"""Image models of several libraries, built without their classifiers.

No library is imported before a model of it is asked for.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from itertools import takewhile
from types import ModuleType
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType
from mmengine.model import BaseModule
from torch import nn

from micacl_mm.registry import MODELS

#: The module of each library that holds its models.
_MODULES = {
    'mmpretrain': 'mmpretrain.models',
    'timm': 'timm',
    'torchvision': 'torchvision.models',
}
#: Modules of torchvision that hold a classifier; a model has one of them.
_CLASSIFIERS = ('fc', 'classifier', 'head', 'heads')


def build_image_model(cfg: ConfigType) -> tuple[nn.Module, Optional[dict]]:
    """Build the image model that a config describes.

    Args:
        cfg (dict): See :class:`FrameBackbone`; left as it is.

    Returns:
        tuple[nn.Module, dict or None]: the model, and the ``init_cfg`` that
        it cannot carry out itself, not being one of MMEngine's.

    Raises:
        ImportError: The library is missing; ends with the command that
            installs it.
        TypeError: ``cfg`` has no type, or its type gives no module.
        ValueError: torchvision has no such model.
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise TypeError(
            "FrameBackbone: backbone must be a dict with a 'type', e.g. "
            f"dict(type='mmpretrain.ResNet', depth=50), got {cfg!r}"
        )
    args = {key: cfg[key] for key in cfg}  # a ConfigDict makes classes here
    kind, init_cfg = args.pop('type'), None
    library = _library_of(kind)
    models = _import(library)
    if library in _BUILDERS or not _carries_init_cfg(kind):
        init_cfg = args.pop('init_cfg', None)
    if library in _BUILDERS:
        model = _BUILDERS[library](kind, args, models)
    else:
        # Parts inside the model are then looked up where they are defined.
        scope = dict(_scope_=library) if library else {}
        model = MODELS.build({**scope, **args, 'type': kind})
    if not isinstance(model, nn.Module):
        raise TypeError(
            f'FrameBackbone: backbone type {kind!r} must give an nn.Module, '
            f'got {type(model).__name__}'
        )
    if is_timm(model) and not isinstance(model, BaseModule):
        # MMEngine would call its init_weights and undo pretrained=True.
        model.is_init = True
    return model, init_cfg


def is_timm(model: nn.Module) -> bool:
    """Whether a model is timm's own, or mmpretrain's TIMMBackbone."""
    owners = (model, getattr(model, 'timm_model', None))
    return any(
        base.__module__.startswith('timm.')
        for owner in owners
        for base in type(owner).__mro__
    )


def _library_of(kind: Union[str, Callable]) -> str:
    """Name of the library in ``_MODULES``; empty for MMAction2 and others."""
    if isinstance(kind, str):
        name = kind
    elif callable(kind):
        name = getattr(kind, 'func', kind).__module__  # func: of a partial
    else:
        raise TypeError(
            'FrameBackbone: type of the backbone must be a name, a class or '
            f'a function, got {kind!r}'
        )
    library, dot, _ = name.partition('.')
    return library if dot and library in _MODULES else ''


def _import(library: str) -> Optional[ModuleType]:
    if not library:
        return None
    try:
        return import_module(_MODULES[library])
    except ImportError as error:
        missing = (error.name or library).partition('.')[0]
        # A torchvision of another torch would replace torch.
        torch_pin = f'torch=={torch.__version__.partition("+")[0]}'
        pins = {
            'mmpretrain': 'mmpretrain==1.2.0',
            'timm': f'timm torchvision {torch_pin}',
            'torchvision': f'torchvision {torch_pin}',
        }
        raise ImportError(
            f'FrameBackbone: a backbone of {library} needs {missing}, which '
            f'could not be imported ({error}); run: pip install '
            f'{pins.get(missing, missing)}'
        ) from error


def _carries_init_cfg(kind: Union[str, Callable]) -> bool:
    """Whether ``init_cfg`` is an argument of the model itself."""
    return isinstance(kind, str) or (
        inspect.isclass(kind) and issubclass(kind, BaseModule)
    )


def _build_timm(
    kind: Union[str, Callable], args: dict, timm: ModuleType
) -> nn.Module:
    args = {**args, 'num_classes': 0}
    if isinstance(kind, str):
        return timm.create_model(kind[len('timm.') :], **args)
    return kind(**args)


def _build_torchvision(
    kind: Union[str, Callable], args: dict, models: ModuleType
) -> nn.Module:
    if isinstance(kind, str):
        name = kind[len('torchvision.') :]
        kind = getattr(models, name, None)
        if not callable(kind):
            raise ValueError(
                f'FrameBackbone: torchvision.models has no model {name!r}; '
                'torchvision.models.list_models() prints their names'
            )
    model = kind(**args)
    _drop_classifier(model, models)
    return model


def _drop_classifier(model: nn.Module, models: ModuleType) -> None:
    """Leave what makes one vector of an image."""
    for name in ('aux1', 'aux2', 'AuxLogits'):  # GoogLeNet, Inception
        if isinstance(getattr(model, name, None), nn.Module):
            setattr(model, name, None)
            model.aux_logits = False
    for name in _CLASSIFIERS:
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            setattr(model, name, _before_classes(head))
    if isinstance(model, (models.VGG, models.AlexNet)):
        # They flatten a grid of places: 25088 values instead of 512.
        model.avgpool = nn.AdaptiveAvgPool2d(1)
    if isinstance(model, models.SqueezeNet):
        model.classifier = nn.AdaptiveAvgPool2d(1)


def _before_classes(head: nn.Module) -> nn.Module:
    """The pooling and norm that ConvNeXt and MaxViT keep in the classifier."""
    kept = list(
        takewhile(
            lambda part: not isinstance(part, (nn.Linear, nn.Dropout)),
            head.children(),
        )
    )
    return nn.Sequential(*kept) if kept else nn.Identity()


_BUILDERS = {'timm': _build_timm, 'torchvision': _build_torchvision}
