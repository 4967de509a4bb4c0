"""Whether a checkpoint belongs to a model: the gate of every command."""

from collections.abc import Mapping
from typing import Any, Optional

from mmengine.model import is_model_wrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from micacl_mm.errors import ConfigError, DataError

from .training import Training

#: Of a checkpoint that does not belong to the model.
CURE = (
    'use the config that it was trained with, which lies in its work '
    'directory, or add the options of the training (--data-root, '
    '--cfg-options)'
)


def bare_model(model: nn.Module) -> nn.Module:
    """The model within a wrapper for several processes."""
    return model.module if is_model_wrapper(model) else model


def num_instances_of(model: nn.Module) -> Optional[int]:
    """Instances of a bag, as the neck or the data preprocessor has it."""
    parts = (getattr(model, k, 0) for k in ('neck', 'data_preprocessor'))
    sizes = (getattr(part, 'num_instances', None) for part in parts)
    return next((size for size in sizes if size is not None), None)


def check_fit(
    model: nn.Module, checkpoint: Mapping[str, Any], partly: bool = False
) -> None:
    """Load weights, all of which must fit.

    Args:
        model (nn.Module): Built from a config. Sharded models are not
            checked.
        checkpoint (Mapping): What the file holds.
        partly (bool): Accept weights to start a training from, of which some
            fit, and load none. Defaults to False.

    Raises:
        ConfigError: Weights are missing, too many or of another size, none
            fits, or they are of bags of another size.
    """
    if isinstance(model, DistributedDataParallel):
        model = model.module
    if is_model_wrapper(model):
        return
    state = checkpoint
    if isinstance(checkpoint, Mapping):
        state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, Mapping):
        raise ConfigError('the checkpoint holds no weights', CURE)
    state = {str(name).removeprefix('module.'): x for name, x in state.items()}
    if partly:
        own = model.state_dict()
        if not any(
            own[name].shape == getattr(x, 'shape', None)
            for name, x in state.items()
            if name in own
        ):
            raise ConfigError(
                'the checkpoint fits no weight of the model: it has '
                f'{", ".join([*state][:3]) or "none"}, the model '
                f'{", ".join([*own][:3])}',
                'give weights of this model to load_from, those of a '
                'backbone alone to model.backbone.pretrained',
            )
        return
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:  # also no tensors
        lines = [line.strip() for line in str(error).splitlines()]
        first = next((line for line in lines[1:] if line), lines[0])
        raise ConfigError(
            'the checkpoint does not fit the model of this config '
            f'({first[:200]})',
            CURE,
        ) from None
    before = Training.from_meta(checkpoint.get('meta')).num_instances
    size = num_instances_of(model)
    if None not in (before, size) and before != size:
        raise ConfigError(
            'the checkpoint does not fit the model of this config: it was '
            f'trained with num_instances={before}, the config has {size}',
            CURE,
        )


def check_classes(meta: Optional[Mapping[str, Any]], dataset: Any) -> None:
    """Refuse a checkpoint of other classes, or in another order.

    MMEngine loads it all the same, as far as the shapes agree. Foreign
    checkpoints do not always name their classes; then nothing is known.

    Raises:
        DataError: Its classes are others.
    """
    old = ((meta or {}).get('dataset_meta') or {}).get('classes')
    new = getattr(dataset, 'metainfo', {}).get('classes')
    if old and new and list(map(str, old)) != list(map(str, new)):
        raise DataError(
            'the checkpoint must be of the classes of the data set, '
            f'{", ".join(map(str, new))}, in this order, got one of '
            f'{", ".join(map(str, old))}',
            'use the data root and the config that it was trained with, or '
            'train in another work directory',
        )
