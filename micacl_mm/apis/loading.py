"""Config, weights and device of a model, and what it calls the classes."""

import copy
import os
from collections.abc import Mapping
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import nn

from micacl_mm.errors import ConfigError, MICACLError, MissingFileError
from micacl_mm.options import find_config
from micacl_mm.records.config_hash import inner_dataset
from micacl_mm.records.weights import CURE, check_fit
from micacl_mm.registry import DATASETS, MODELS


def first_line(error: BaseException) -> str:
    """What the first cause of an error says, in a line.

    Ours say it, and what to do, themselves.
    """
    while error.__cause__ and not isinstance(error, MICACLError):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = ' '.join(lines[:2])[:300]
    kind = type(error).__name__
    return f'{kind}: {text}' if text else kind


def read_config(config: Union[str, os.PathLike, Config]) -> Config:
    """Read a config that has a model.

    Raises:
        MissingFileError: There is no such file.
        ConfigError: It is no config, or has no model.
    """
    if not isinstance(config, Config):
        path = find_config(os.fspath(config))
        try:
            config = Config.fromfile(path)
        except Exception as error:  # whatever a user's file does
            raise ConfigError(
                f'{path} cannot be read as a config, {first_line(error)}'
            ) from error
    if not config.get('model'):
        raise ConfigError(
            f'{config.filename} has no model',
            'use the config that the checkpoint was trained with',
        )
    return config


def check_device(device: Optional[str]) -> None:
    """Check that a device is there."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f'device {device!r} is not available ({first_line(error)})',
            'use cpu or cuda:0',
        ) from None


def load_model(cfg: ConfigType, path: str) -> tuple[nn.Module, dict]:
    """Build a model and load its weights, all of which must fit.

    Returns:
        tuple[nn.Module, dict]: The model in eval mode, and what the
        checkpoint holds.

    Raises:
        MissingFileError: There is no such file.
        ConfigError: No checkpoint, a model that cannot be built, or weights
            that do not fit.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu', 'silent')
    except FileNotFoundError as error:
        raise MissingFileError(f'there is no file {path}') from error
    except Exception as error:  # of pickle, zip or torch
        raise ConfigError(
            f'{path} cannot be read as a checkpoint, {first_line(error)}'
        ) from error
    settings = copy.deepcopy(cfg.model)
    if settings.get('backbone', {}).get('pretrained'):
        settings.backbone.pretrained = None  # as init_recognizer does
    try:
        model = MODELS.build(settings)
    except Exception as error:  # whatever a user's config says
        name = getattr(cfg, 'filename', None) or 'the config'
        raise ConfigError(
            f'the model of {name} cannot be built, {first_line(error)}'
        ) from error
    check_fit(model, checkpoint)
    model.cfg = cfg
    return model.eval(), checkpoint


def class_names(
    model: nn.Module, checkpoint: Mapping, cfg: ConfigType
) -> tuple[str, ...]:
    """Names of the classes by the checkpoint, or the test set of a config.

    ``'class 0'`` and so on where neither has them.

    Raises:
        ConfigError: The checkpoint has other classes than the model's head.
    """
    head = getattr(model, 'cls_head', None)
    size = getattr(head, 'num_classes', None)
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    names = list(meta.get('classes') or [])
    if names and size not in (None, len(names)):
        raise ConfigError(
            f'the checkpoint has the {len(names)} classes '
            f'{", ".join(names)}, the head of this config has '
            f'num_classes={size}',
            CURE,
        )
    if not names:
        dataset = inner_dataset(cfg.get('test_dataloader'))
        kind = dataset.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        names = (dataset.get('metainfo') or {}).get('classes')
        names = list(names or getattr(kind, 'METAINFO', {}).get('classes', []))
    if size not in (None, len(names)):
        names = [f'class {i}' for i in range(size)]
    return tuple(map(str, names))
