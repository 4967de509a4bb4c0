"""Checkpoints that do not fit a backbone.

MMEngine loads with ``strict=False``: weights of another model, or with a
prefix too many, would leave a random model behind a line in the log.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mmengine.logging import print_log
from torch import nn

from .image_models import CLASSIFIERS


@contextmanager
def refuse_misfits(
    model: nn.Module, frozen: frozenset[str] = frozenset(), cure: str = ''
) -> Iterator[set[str]]:
    """Within it, the checkpoints together must fit ``model``.

    Args:
        model (nn.Module): The backbone.
        frozen (frozenset[str]): Parts that the user has frozen.
        cure (str): What to do about a misfit. Defaults to advice for image
            models.

    Yields:
        set[str]: names of the parameters that checkpoints have filled.

    Raises:
        ValueError: A checkpoint fills nothing, or less than half of the
            model by size or not all of the frozen parameters are filled.
    """
    filled, before = set(), {}

    def start(_: nn.Module, state_dict: dict, prefix: str, *__) -> None:
        # Runs after the model's own hooks, which rename and resize.
        before['names'] = [n for n in state_dict if n.startswith(prefix)]
        before['prefix'] = prefix
        before['versions'] = _versions(model)

    def end(_: nn.Module, misfits: tuple) -> None:
        old = before['versions']
        new = {n for n, count in _versions(model).items() if count > old[n]}
        filled.update(new)
        prefix = before['prefix']
        left = [n for n in misfits.unexpected_keys if n.startswith(prefix)]
        left = [n.removeprefix(prefix) for n in left]
        ours = [n for n in _frozen(model) if n in frozen and n not in filled]
        advice = cure or _cure(prefix)
        _judge(
            model, filled if new else new, ours, before['names'], left, advice
        )

    handles = (
        model.register_load_state_dict_pre_hook(start),
        model.register_load_state_dict_post_hook(end),
    )
    try:
        yield filled
    finally:
        for handle in handles:
            handle.remove()


def warn_of_nothing(
    model: nn.Module, state_dict: dict, prefix: str, *_
) -> None:
    """As a hook before loading: say that a state dict has no parameter."""
    names = [prefix + name for name, _ in model.named_parameters()]
    if names and not any(name in state_dict for name in names):
        print_log(
            'FrameBackbone: the weights that are loaded have none of the '
            f'parameters of {type(model).__name__}, such as '
            f'{_some(names)}, which stay as they are; load_from takes '
            'checkpoints of whole recognizers, so give one of the image '
            'model as init_cfg in its own dict',
            logger='current',
            level=logging.WARNING,
        )


def warn_of_random(model: nn.Module, filled: set[str]) -> None:
    """Say which parameters neither learn nor come from a checkpoint."""
    names = [n for n in _frozen(model) if n not in filled]
    if names:
        print_log(
            f'FrameBackbone: {len(names)} parameters of '
            f'{type(model).__name__} do not learn, and no checkpoint has '
            f'filled them ({_some(names)}): unless the model has set them '
            'itself, or load_from or resume will, they are random; give '
            "init_cfg=dict(type='Pretrained', checkpoint=...) in its dict",
            logger='current',
            level=logging.WARNING,
        )


def _judge(
    model: nn.Module,
    filled: set[str],
    frozen: list[str],
    names: list[str],
    left: list[str],
    cure: str,
) -> None:
    """Refuse a checkpoint with ``names``, or report it.

    ``frozen`` are the parameters that should be filled and are not.
    """
    parameters = dict(model.named_parameters())
    missing = [n for n in parameters if n not in filled]
    fills = (
        f'the checkpoint fills {len(filled)} of {len(parameters)} parameters '
        f'of {type(model).__name__}'
    )
    # By size: norms would fit many another model.
    lacks = sum(parameters[name].numel() for name in missing)
    if 2 * lacks > sum(p.numel() for p in parameters.values()) or frozen:
        kind = 'those that do not learn: ' if frozen else ''
        raise ValueError(
            f'{fills}, and not {kind}{_some(frozen or missing)}, while it '
            f'has {_some(names)}; {cure}'
        )
    left = [n for n in left if n.partition('.')[0] not in CLASSIFIERS]
    fills += f', and not {_some(missing)}' if missing else ''
    if left:
        fills += (
            f'; {len(left)} of its own fit nothing, such as {_some(left)}: '
            'it may be of another model'
        )
    level = logging.WARNING if missing or left else logging.INFO
    print_log(fills, logger='current', level=level)


def _cure(prefix: str) -> str:
    if prefix:
        return (
            f'names must begin with {prefix!r} where init_cfg is not that of '
            'the image model; put init_cfg into the dict of the image model'
        )
    return (
        'give a checkpoint of this model, or in init_cfg the prefix of its '
        "names, e.g. prefix='backbone.'; files of another library need the "
        "model of that library, e.g. type='timm.NAME'"
    )


def _versions(model: nn.Module) -> dict[str, int]:
    """How often each parameter has been written to."""
    return {name: p._version for name, p in model.named_parameters()}


def _frozen(model: nn.Module) -> list[str]:
    return [n for n, p in model.named_parameters() if not p.requires_grad]


def _some(names: Iterable[str]) -> str:
    names = [*names]
    more = ', ...' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more if names else 'nothing like it'
