"""Config, weights and device of a model, and what it calls the classes."""

import os
from collections.abc import Callable, Mapping
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType
from mmengine.config import Config
from mmengine.runner.checkpoint import (
    _load_checkpoint,
    _load_checkpoint_to_model,
)
from torch import nn

from micacl_mm.records.config_hash import inner_dataset
from micacl_mm.registry import DATASETS, MODELS


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = ' '.join(lines[:2])[:300]
    kind = type(error).__name__
    return f'{kind}: {text}' if text else kind


def check_file(path: str) -> str:
    """Return the path of a file that is there.

    Raises:
        FileNotFoundError: It is not.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'there is no file {path}')
    return path


def read_config(config: Union[str, os.PathLike, Config]) -> Config:
    """Read a config that has a model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no config, or has no model.
    """
    if not isinstance(config, Config):
        path = check_file(os.fspath(config))
        try:
            config = Config.fromfile(path)
        except Exception as error:  # whatever a user's file does
            raise ValueError(
                f'{path} cannot be read as a config, {first_line(error)}'
            ) from error
    if not config.get('model'):
        raise ValueError(
            f'{config.filename} has no model; take the config that the '
            'checkpoint was trained with'
        )
    return config


def check_device(device: Optional[str]) -> None:
    """See that a device is there.

    Raises:
        ValueError: It is not.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'device {device!r} is not there, take cpu or cuda:0 '
            f'({first_line(error)})'
        ) from None


def load_model(
    cfg: ConfigType, path: str, device: str, load: Callable
) -> nn.Module:
    """Build a model and put it on its device in eval mode.

    Args:
        cfg (Config): With ``model``.
        path (str): Of the checkpoint.
        device (str): Where it is to be.
        load (Callable): Called with model, checkpoint and config.

    Raises:
        ValueError: No checkpoint, or a model that cannot be built.
    """
    try:
        checkpoint = _load_checkpoint(path, map_location='cpu')
    except Exception as error:  # of pickle, zip or torch
        raise ValueError(
            f'{path} cannot be read as a checkpoint, {first_line(error)}'
        ) from error
    try:
        model = MODELS.build(cfg.model)
    except Exception as error:  # whatever a user's config says
        raise ValueError(
            f'the model of {cfg.get("filename") or "the config"} cannot be '
            f'built, {first_line(error)}'
        ) from error
    model.cfg = cfg
    load(model, checkpoint, cfg)
    return model.to(device).eval()


def load_weights(model: nn.Module, checkpoint: Mapping) -> None:
    """Load weights, all of which must fit.

    Args:
        model (nn.Module): Built from the config.
        checkpoint (Mapping): What the file holds.

    Raises:
        ValueError: Some are missing, too many or of another size.
    """
    try:
        _load_checkpoint_to_model(model, checkpoint, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        first = next((line for line in lines[1:] if line), lines[0])
        raise ValueError(
            'the checkpoint does not fit the model of this config; take the '
            f'config that it was trained with ({first[:200]})'
        ) from None


def class_names(
    model: nn.Module, checkpoint: Mapping, cfg: ConfigType
) -> tuple[str, ...]:
    """Names of the classes, as the checkpoint or the data set has them.

    Args:
        model (nn.Module): Built from the config.
        checkpoint (Mapping): What the file holds.
        cfg (Config): Its ``test_dataloader`` is asked where the checkpoint
            does not say.

    Returns:
        tuple[str, ...]: K names, ``'class 0'`` and so on if nobody says.

    Raises:
        ValueError: The checkpoint has other classes than the model's head.
    """
    size = getattr(model.cls_head, 'num_classes', None)
    said = _said_by(checkpoint)
    if said and size not in (None, len(said)):
        raise ValueError(
            f'the checkpoint knows the {len(said)} classes {", ".join(said)}, '
            f'the head of this config has num_classes={size}; take the config '
            'that it was trained with, which stands in its work directory, '
            'or add its options (--data-root, --cfg-options)'
        )
    names = said or _said_by_dataset(cfg)
    if len(names) != size and size is not None:
        names = [f'class {i}' for i in range(size)]
    return tuple(str(name) for name in names)


def _said_by(checkpoint: Mapping) -> list:
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return list(meta.get('classes') or [])


def _said_by_dataset(cfg: ConfigType) -> list:
    dataset = inner_dataset(cfg.get('test_dataloader'))
    given = (dataset.get('metainfo') or {}).get('classes')
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return list(given or getattr(kind, 'METAINFO', {}).get('classes', []))
