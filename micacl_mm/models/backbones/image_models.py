"""Image models of several libraries, built without their classifiers.

No library is imported before a model of it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from itertools import takewhile
from types import ModuleType
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType
from mmengine.model import BaseModule, PretrainedInit
from mmengine.utils import get_object_from_string
from torch import nn

from micacl_mm.registry import MODELS

#: The module of each library that holds its models.
_MODULES = {
    'mmpretrain': 'mmpretrain.models',
    'timm': 'timm',
    'torchvision': 'torchvision.models',
}
#: Modules that hold a classifier; a model of torchvision has one of them.
CLASSIFIERS = ('fc', 'classifier', 'head', 'heads')
#: How a config names MMEngine's initialization from a checkpoint.
_PRETRAINED = ('Pretrained', PretrainedInit)
#: Arguments with which models load weights by themselves.
_OWN_WEIGHTS = ('pretrained', 'weights', 'checkpoint_path')


def build_image_model(cfg: ConfigType) -> tuple[nn.Module, list[dict]]:
    """Build the image model that a config describes.

    Args:
        cfg (dict): See :class:`FrameBackbone`; left as it is.

    Returns:
        tuple[nn.Module, list[dict]]: the model, and the configs of the
        checkpoints that are to be loaded into it, after its own
        initialization.

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
    kind = args['type'] = _resolve(args['type'])
    library = _library_of(kind)
    models = _import(library)
    checkpoints = _pop_checkpoints(args, keep=_is_mmaction(kind))
    if library in _BUILDERS:
        model = _BUILDERS[library](args.pop('type'), args, models)
    else:
        # Parts inside the model are then looked up where they are defined.
        scope = dict(_scope_=library) if library else {}
        model = MODELS.build({**scope, **args})
    if not isinstance(model, nn.Module):
        raise TypeError(
            f'FrameBackbone: backbone type {kind!r} must give an nn.Module, '
            f'got {type(model).__name__}'
        )
    if is_timm(model) and not isinstance(model, BaseModule):
        # MMEngine would call its init_weights and undo pretrained=True.
        model.is_init = True
    return model, checkpoints


def loads_weights(cfg: ConfigType) -> bool:
    """Whether a config tells the model to load weights by itself."""
    return any(cfg.get(key) for key in _OWN_WEIGHTS)


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


def _resolve(kind: Union[str, Callable]) -> Union[str, Callable]:
    """The class or function whose path a dumped config has written down.

    'timm.resnet50.a1_in1k' or 'mmpretrain.ResNet' lead to no object.
    """
    if not isinstance(kind, str) or '.' not in kind:
        return kind
    found = get_object_from_string(kind)
    return found if callable(found) else kind


def _is_mmaction(kind: Union[str, Callable]) -> bool:
    """Whether ``kind`` is a backbone of MMAction2, or registered beside.

    They get their init_cfg as it is: the TSM models read it themselves and
    rename what is in the file.
    """
    if isinstance(kind, str):
        return not _library_of(kind)
    return getattr(kind, '__module__', '').startswith('mmaction.')


def _pop_checkpoints(args: dict, keep: bool) -> list[dict]:
    """Take the checkpoints out of ``init_cfg``, unless ``keep``.

    MMPretrain's models know a checkpoint only by ``init_cfg['type'] ==
    'Pretrained'``: in a list, or with a class as the type, they load it and
    then overwrite some of it.
    """
    init_cfg = args.pop('init_cfg', None) or []
    cfgs = [init_cfg] if isinstance(init_cfg, dict) else init_cfg
    rest, checkpoints = [], []
    for cfg in cfgs:
        if _resolve(cfg['type']) in _PRETRAINED:
            cfg = dict(cfg, type='Pretrained')
            (rest if keep else checkpoints).append(cfg)
        else:
            rest.append(cfg)
    if rest:
        args['init_cfg'] = rest if len(rest) > 1 else rest[0]
    return checkpoints


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
    for name in CLASSIFIERS:
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
