"""What training does with a model whose inside it does not know."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Union

from mmengine.logging import print_log
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def select_parts(
    model: nn.Module, chosen: Union[bool, Sequence[str]]
) -> frozenset[str]:
    """Names of the modules and parameters that ``chosen`` means.

    Args:
        model (nn.Module): Any model.
        chosen (bool or Sequence[str]): True for all parts, False for none,
            or names of parts, each of which stands for all inside it.

    Raises:
        ValueError: A name fits no part.
    """
    names = {
        *dict(model.named_modules()),
        *dict(model.named_parameters()),
    }
    if isinstance(chosen, bool):
        return frozenset(names if chosen else ())
    parts = set()
    for prefix in chosen:
        # A dot at the end: 'layers.1' does not stand for 'layers.10'.
        found = {n for n in names if f'{n}.'.startswith(f'{prefix}.')}
        if not found:
            top = sorted({n.partition('.')[0] for n in names} - {''})
            raise ValueError(
                f'FrameBackbone: frozen names {prefix!r}, but '
                f'{type(model).__name__} has no such part; it has '
                f'{", ".join(top)}'
            )
        parts |= found
    return frozenset(parts)


@contextmanager
def same_statistics(model: nn.Module) -> Iterator[None]:
    """Keep what runs within it out of BatchNorm's running statistics."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [(m.momentum, m.num_batches_tracked) for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


@contextmanager
def refuse_misfits(model: nn.Module) -> Iterator[None]:
    """Within it, a checkpoint must fit some parameter of ``model``.

    MMEngine loads with ``strict=False``: weights of another model, or with a
    prefix too many, would leave a random model behind a line in the log.

    Raises:
        ValueError: No parameter of the model is in a checkpoint that is
            loaded, by name and shape.
    """
    # Runs after the model's own hooks, which rename and resize.
    handle = model.register_load_state_dict_pre_hook(_check)
    try:
        yield
    finally:
        handle.remove()


def _check(model: nn.Module, state_dict: dict, prefix: str, *_) -> None:
    shapes = {
        prefix + name: parameter.shape
        for name, parameter in model.named_parameters()
    }
    fitting = sum(
        getattr(state_dict.get(name), 'shape', None) == shape
        for name, shape in shapes.items()
    )
    name = type(model).__name__
    if shapes and not fitting:
        raise ValueError(
            f'FrameBackbone: the checkpoint fits no parameter of {name}, '
            f'which has {_some(shapes)}, while the checkpoint has '
            f'{_some(state_dict)}; give another checkpoint, or in init_cfg '
            "the prefix of its names, e.g. prefix='backbone.'"
        )
    print_log(
        f'FrameBackbone: the checkpoint fills {fitting} of {len(shapes)} '
        f'parameters of {name}',
        logger='current',
        level=logging.INFO if fitting == len(shapes) else logging.WARNING,
    )


def _some(names: dict) -> str:
    return ', '.join([*names][:3]) + ', ...' if names else 'nothing like it'
