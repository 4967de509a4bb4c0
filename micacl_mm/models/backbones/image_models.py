"""Image models of several libraries, built without their classifiers.

No library is imported before a model of it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType
from mmengine.model import BaseModule, PretrainedInit
from mmengine.utils import get_object_from_string
from torch import nn

from micacl_mm.errors import DependencyError
from micacl_mm.registry import MODELS

from .checkpoints import CLASSIFIERS

#: The module of each library that holds its models.
_MODULES = {
    'mmpretrain': 'mmpretrain.models',
    'timm': 'timm',
    'torchvision': 'torchvision.models',
}
#: How a config names MMEngine's initialization from a checkpoint.
_PRETRAINED = ('Pretrained', PretrainedInit)


def build_image_model(cfg: ConfigType) -> tuple[nn.Module, list[dict]]:
    """Build the image model of a config, see :class:`FrameBackbone`.

    Returns:
        tuple[nn.Module, list[dict]]: the model, and the configs of the
        checkpoints that are to be loaded into it, after its own
        initialization.
    """
    args = dict(cfg.items()) if isinstance(cfg, dict) else {}
    kind = _resolve(args.pop('type', None))
    if not (isinstance(kind, str) or callable(kind)):
        raise TypeError(
            "FrameBackbone: backbone must be a dict whose 'type' is a name, a "
            "class or a function, e.g. dict(type='mmpretrain.ResNet', "
            f'depth=50), got {cfg!r}'
        )
    path = kind
    if callable(kind):
        path = getattr(kind, 'func', kind).__module__  # func: of a partial
    library, dot, name = path.partition('.')
    library = library if dot and library in _MODULES else ''
    module = _import(library)
    # MMAction2's TSM reads its init_cfg and renames what is in the file.
    own = path.startswith('mmaction.') or not (library or callable(kind))
    checkpoints = _pop_checkpoints(args, own)
    if library == 'timm':
        args['num_classes'] = 0
        if isinstance(kind, str):
            kind, args['model_name'] = module.create_model, name
        model = kind(**args)
    elif library == 'torchvision':
        kind = getattr(module, name, None) if isinstance(kind, str) else kind
        if not callable(kind):
            raise ValueError(
                f'FrameBackbone: torchvision.models has no model {name!r}; '
                'torchvision.models.list_models() prints their names'
            )
        model = _without_classifier(kind(**args))
    else:
        # Parts inside the model are then looked up where they are defined.
        scope = dict(_scope_=library) if library else {}
        model = MODELS.build(dict(args, type=kind, **scope))
    if not isinstance(model, nn.Module):
        raise TypeError(
            f'FrameBackbone: backbone type {kind!r} must give an nn.Module, '
            f'got {type(model).__name__}'
        )
    if is_timm(model) and not isinstance(model, BaseModule):
        # MMEngine would call its init_weights and undo pretrained=True.
        model.is_init = True
    return model, checkpoints


def is_timm(model: nn.Module) -> bool:
    """Whether a model is timm's own, or mmpretrain's TIMMBackbone."""
    owners = (model, getattr(model, 'timm_model', None))
    return any(
        base.__module__.startswith('timm.')
        for owner in owners
        for base in type(owner).__mro__
    )


def _import(library: str) -> Optional[ModuleType]:
    try:
        return import_module(_MODULES[library]) if library else None
    except ImportError as error:
        package = f'{library}==1.2.0' if library == 'mmpretrain' else library
        # A torchvision of another torch would replace torch.
        pin = f'torch=={torch.__version__.partition("+")[0]}'
        raise DependencyError(
            f'FrameBackbone: {library} could not be imported ({error})',
            f'run: pip install {package} {pin}',
        ) from error


def _resolve(kind: Union[str, Callable]) -> Union[str, Callable]:
    """The class or function whose path a dumped config has written down.

    'timm.resnet50.a1_in1k' or 'mmpretrain.ResNet' lead to no object.
    """
    if not isinstance(kind, str) or '.' not in kind:
        return kind
    found = get_object_from_string(kind)
    return found if callable(found) else kind


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
        found = _resolve(cfg['type']) in _PRETRAINED
        cfg = dict(cfg, type='Pretrained') if found else cfg
        (checkpoints if found and not keep else rest).append(cfg)
    if rest:
        args['init_cfg'] = rest if len(rest) > 1 else rest[0]
    return checkpoints


def _without_classifier(model: nn.Module) -> nn.Module:
    """Take the last linear layer out of a model of torchvision."""
    for name in ('aux1', 'aux2', 'AuxLogits'):  # GoogLeNet, Inception
        if isinstance(getattr(model, name, None), nn.Module):
            setattr(model, name, None)
            model.aux_logits = False
    ends = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
        and name.partition('.')[0] in CLASSIFIERS
    ]
    if not ends:
        raise ValueError(
            f'FrameBackbone: {type(model).__name__} of torchvision has no '
            'linear classifier; wrap it in a module that returns (N, C)'
        )
    owner, _, last = ends[-1].rpartition('.')
    owner = model.get_submodule(owner)
    for name, layer in owner.named_children():
        if name == last or isinstance(layer, nn.Dropout):  # heads have theirs
            setattr(owner, name, nn.Identity())
    return model
