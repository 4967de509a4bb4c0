"""Parts of an image model that do not learn."""

from collections.abc import Sequence, Set
from typing import Union

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


def still_parts(model: nn.Module) -> frozenset[str]:
    """Names of the modules that a new model has set to eval mode itself.

    Among them is what its own freezing stills and has no parameters, such
    as the dropout behind frozen position embeddings. A model that comes in
    eval mode as a whole says nothing by it.
    """
    if not model.training:
        return frozenset()
    modules = model.named_modules()
    return frozenset(name for name, m in modules if not m.training)


def hold_still(model: nn.Module, parts: Set[str], norms: bool) -> None:
    """Set to eval mode what must not change while the rest learns.

    That is ``parts``, every module whose parameters all do not learn, and,
    with ``norms``, BatchNorm.
    """
    for name, module in model.named_modules():
        learns = [p.requires_grad for p in module.parameters()]
        norm = norms and isinstance(module, _BatchNorm)
        if name in parts or norm or (learns and not any(learns)):
            module.eval()
