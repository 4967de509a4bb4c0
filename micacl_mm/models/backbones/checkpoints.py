"""Checkpoints that do not fit a backbone.

MMEngine loads with ``strict=False``: weights of another model, or with a
prefix too many, would leave a random model behind a line in the log.
"""

import logging
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager

from mmengine.logging import print_log
from torch import nn

#: Modules that hold a classifier; a model of torchvision has one of them.
CLASSIFIERS = ('fc', 'classifier', 'head', 'heads')


@contextmanager
def refuse_misfits(
    model: nn.Module, cure: str, frozen: Set[str] = frozenset()
) -> Iterator[set[str]]:
    """Within it, the checkpoints together must fit ``model``.

    Refused (ValueError, with the ``cure``) where one fills nothing, or where
    less than half of the model by size or not all of the ``frozen``
    parameters are filled. Yields the names of those that are.
    """
    parameters = dict(model.named_parameters())
    filled, versions, given = set(), {}, []

    def start(_: nn.Module, state_dict: dict, prefix: str, *__) -> None:
        # Runs after the model's own hooks, which rename and resize.
        given[:] = [prefix, *(n for n in state_dict if n.startswith(prefix))]
        versions.update({n: p._version for n, p in parameters.items()})

    def end(_: nn.Module, misfits: tuple) -> None:
        prefix, *names = given
        new = {n for n, p in parameters.items() if p._version > versions[n]}
        filled.update(new)
        missing = [n for n in parameters if n not in filled]
        unset = [n for n in missing if n in frozen]
        message = (
            f'the checkpoint fills {len(filled) if new else 0} of '
            f'{len(parameters)} parameters of {type(model).__name__}'
        )
        # By size: norms would fit many another model.
        lacks = sum(parameters[n].numel() for n in missing)
        total = sum(p.numel() for p in parameters.values())
        if not new or unset or 2 * lacks > total:
            kind = 'those that do not learn: ' if unset else ''
            raise ValueError(
                f'{message}, and not {kind}{some(unset or missing)}, while it '
                f'has {some(names)}; {cure}'
            )
        left = [n.removeprefix(prefix) for n in misfits.unexpected_keys]
        left = [n for n in left if n.partition('.')[0] not in CLASSIFIERS]
        if missing:
            message += f', and not {some(missing)}'
        if left:
            message += (
                f'; {len(left)} of its own fit nothing, such as {some(left)}: '
                'it may be of another model'
            )
        level = logging.WARNING if missing or left else logging.INFO
        print_log(message, logger='current', level=level)

    handles = (
        model.register_load_state_dict_pre_hook(start),
        model.register_load_state_dict_post_hook(end),
    )
    try:
        yield filled
    finally:
        for handle in handles:
            handle.remove()


def some(names: Iterable[str]) -> str:
    """The first three names."""
    names = [*names]
    more = ', ...' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more if names else 'nothing like it'
