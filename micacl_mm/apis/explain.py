"""What the necks of a recognizer looked at when it predicted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Optional

import torch
from torch import Tensor, nn

from micacl_mm.models.bag import Bag, collect
from micacl_mm.models.layers import GatedAttention, InstanceAttention
from micacl_mm.models.necks import GEIIM, BaseBagNeck


class Explanation:
    """Filled while a model predicts inside :func:`explain`.

    The rows are bags in the order in which they were seen: the videos, and
    of each its crops if there are several.
    """

    def __init__(self) -> None:
        self._sizes: list[tuple[int, int]] = []
        self._weights: list[Optional[Tensor]] = []
        self._attention: list[Tensor] = []
        self._found: Optional[Tensor] = None
        #: GEIIM's graph, (M, M), row i what instance i receives from whom;
        #: one for all videos; None without a graph over instances.
        self.adjacency: Optional[Tensor] = None

    @property
    def instance_weights(self) -> Tensor:
        """How the instances were weighed, (bags, M), rows sum to 1.

        The weights of GEIIM where it hands them on, else WIAN's gated
        attention, else 1 / M each: where nothing weighs them, or by gates of
        their channels, which do not tell them apart.
        """
        rows = [
            torch.full(size, 1 / size[1]) if found is None else found
            for size, found in zip(self._sizes, self._weights, strict=True)
        ]
        return torch.cat(rows) if rows else torch.zeros(0, 0)

    @property
    def attention(self) -> Optional[Tensor]:
        """WIAN's self-attention, (bags, heads, M, M), rows sum to 1."""
        return torch.cat(self._attention) if self._attention else None

    def _weigh(self, weights: Optional[Tensor]) -> None:
        if weights is not None and weights.dim() == 2:
            self._found = _taken(weights)

    def _close(self, bags: int, instances: int) -> None:
        """Note the bags of one call of the whole neck."""
        self._sizes.append((bags, instances))
        self._weights.append(self._found)
        self._found = None


def _taken(x: Tensor) -> Tensor:
    return x.detach().float().cpu()


def _neck_of(model: nn.Module) -> BaseBagNeck:
    neck = getattr(model, 'neck', None)
    if not isinstance(neck, BaseBagNeck):
        raise TypeError(
            f'{type(model).__name__} has no neck on bags to look into; only '
            'models whose neck is one of micacl_mm can be explained'
        )
    return neck


@contextmanager
def explain(model: nn.Module) -> Iterator[Explanation]:
    """Look at instance weights, graph and attention of predictions.

    Works for every combination of necks on bags. The hooks are there inside
    the ``with`` only; outside of it nothing is kept and nothing computed.

    Examples:
        >>> with explain(model) as seen:
        ...     model.test_step(data)
        >>> seen.instance_weights  # (videos, M)
    """
    neck, seen = _neck_of(model), Explanation()

    def see_graph(module: nn.Module, inputs: tuple, graph: Tensor) -> None:
        seen.adjacency = _taken(graph)

    def see_weights(module: nn.Module, inputs: tuple, out: Tensor) -> None:
        seen._weigh(out)

    def attend(module: nn.Module, inputs: tuple, out: Tensor) -> None:
        seen._attention.append(_taken(module.weights(inputs[0])))

    def process(stock: Callable[[Bag], Bag], bag: Bag) -> Bag:
        out = stock(bag)
        seen._weigh(out.weights)
        return out

    def close(module: nn.Module, inputs: tuple, out: tuple) -> None:
        x = inputs[0] if neck.keeps_features else out[0]
        seen._close(len(collect(x, 1).features), neck.num_instances)

    with ExitStack() as undo:
        for part in neck.modules():
            hook = None
            if isinstance(part, BaseBagNeck):
                undo.callback(_restore, part, vars(part).get('process'))
                part.process = partial(process, part.process)
            if isinstance(part, GEIIM) and part.nodes == 'instances':
                undo.callback(
                    part.adjacency.register_forward_hook(see_graph).remove
                )
            if isinstance(part, GatedAttention):
                hook = see_weights
            elif isinstance(part, InstanceAttention):
                hook = attend
            if hook is not None:
                undo.callback(part.register_forward_hook(hook).remove)
        undo.callback(neck.register_forward_hook(close).remove)
        yield seen


def _restore(neck: BaseBagNeck, process: Optional[Callable]) -> None:
    """Give back what ``process`` was: that of an outer watch, or none."""
    del neck.process
    if process is not None:
        neck.process = process


@contextmanager
def without_instance(model: nn.Module, index: int) -> Iterator[None]:
    """Predict as if an instance of every bag said nothing of its own.

    Its features become the mean of the others', so that bags keep their size
    and their average and no neck meets an input that it does not know. The
    instances count from 0; there must be two or more.
    """
    neck = _neck_of(model)
    size = neck.num_instances
    if neck.takes_maps:
        raise TypeError(
            f'{type(neck).__name__}: instances cannot be taken out of what '
            'stock necks in front of it take'
        )
    if size < 2 or not 0 <= index < size:
        raise ValueError(
            f'{type(neck).__name__}: cannot leave out instance {index} of '
            f'num_instances={size}; two at least are needed, from 0 on'
        )

    def replace(module: nn.Module, inputs: Sequence, kwargs: dict) -> tuple:
        features = collect(inputs[0], size).features.clone()  # (N, M, C)
        others = [i for i in range(size) if i != index]
        features[:, index] = features[:, others].mean(dim=1)
        return (Bag(features), *inputs[1:]), kwargs

    handle = neck.register_forward_pre_hook(replace, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def occlusion(model: nn.Module, data: Any) -> Tensor:
    """Tell how much each instance speaks for the predicted class.

    The score of the predicted class minus that without the instance (see
    :func:`without_instance`): faithful by its making, where weights inside of
    a network need not be. It costs M + 1 predictions on ``data``, a batch of N
    videos as ``model.test_step`` takes.

    Returns:
        Tensor: shape (N, M); what speaks against the class is negative.
    """
    scores = _scores(model, data)  # (N, K)
    label = scores.argmax(dim=1, keepdim=True)
    drops = []
    for index in range(_neck_of(model).num_instances):
        with without_instance(model, index):
            changed = _scores(model, data)
        drops.append((scores - changed).gather(1, label))
    return torch.cat(drops, dim=1)


def _scores(model: nn.Module, data: Any) -> Tensor:
    samples = model.test_step(data)
    return torch.stack([_taken(sample.pred_score) for sample in samples])
