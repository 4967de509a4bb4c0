"""Weights of a checkpoint, and what they call the classes."""

from collections.abc import Mapping

from mmaction.utils import ConfigType
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from micacl_mm.registry import DATASETS


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
            'that it was trained with'
        )
    names = said or _said_by_dataset(cfg)
    if len(names) != size and size is not None:
        names = [f'class {i}' for i in range(size)]
    return tuple(str(name) for name in names)


def _said_by(checkpoint: Mapping) -> list:
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return list(meta.get('classes') or [])


def _said_by_dataset(cfg: ConfigType) -> list:
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    given = (dataset.get('metainfo') or {}).get('classes')
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return list(given or getattr(kind, 'METAINFO', {}).get('classes', []))
