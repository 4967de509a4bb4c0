"""Parameters and multiply-adds of a model for one bag."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn


class Complexity(NamedTuple):
    """Size and cost of a model."""

    #: Number of parameters, the frozen ones and those of losses too.
    parameters: int
    #: Billions of multiply-adds for one bag; None if they cannot be counted.
    gflops: Optional[float]
    #: Why they cannot.
    problem: str = ''


class _Features(nn.Module):
    """Calls a recognizer as MMAction2's get_flops tool does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Backbone and neck."""
        return self.model.extract_feat(inputs)[0]


def measure_complexity(
    model: nn.Module, bag_shape: Sequence[int]
) -> Complexity:
    """Count parameters, and multiply-adds of backbone and neck.

    As MMAction2's get_flops tool counts them, by MMEngine's FlopAnalyzer: a
    multiply-add is one, and the head, one linear layer, is left out. LSTMs
    and fused attention, which MMEngine passes over, are counted too.

    Args:
        model (nn.Module): A recognizer in eval mode. It is not changed.
        bag_shape (Sequence[int]): Shape of one bag, as the pipeline makes
            it, for instance (M, C, T, H, W).

    Returns:
        Complexity: whatever happens; a model that cannot be traced gets None
        and a ``problem``.
    """
    parameters = sum(p.numel() for p in model.parameters())
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        # The data preprocessor decides what the backbone sees of the bag.
        batch = dict(inputs=[torch.zeros(bag_shape)], data_samples=[])
        bag = model.data_preprocessor(batch)['inputs']
        # The fast path of nn.MultiheadAttention is one opaque operator.
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad():
            analyzer = FlopAnalyzer(_Features(model), (bag,))
            analyzer.set_op_handle(**_HANDLES)
            analyzer.unsupported_ops_warnings(False)
            analyzer.uncalled_modules_warnings(False)
            gflops = analyzer.total() / 1e9
    # The tracer raises whatever a model it cannot follow makes it raise, and
    # a result must not be lost for this.
    except Exception as error:
        problem = f'{type(error).__name__}: {error}'.splitlines()[0]
        return Complexity(parameters, None, problem)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return Complexity(parameters, float(gflops))


def _sizes(value: torch._C.Value) -> list[int]:
    return value.type().sizes()


def _count_attention(inputs: list, outputs: list) -> int:
    """Queries with keys, then weights with values."""
    query, key, value = map(_sizes, inputs[:3])
    pairs = math.prod(query[:-1]) * key[-2]
    return pairs * (query[-1] + value[-1])


def _count_lstm(inputs: list, outputs: list) -> int:
    """Each weight matrix once a step of each sequence."""
    length, batch = _sizes(inputs[0])[:2]
    weights = [_sizes(value) for value in inputs[2].node().inputs()]
    matrices = [shape for shape in weights if len(shape) == 2]
    return length * batch * sum(map(math.prod, matrices))


_HANDLES = {
    'aten::scaled_dot_product_attention': _count_attention,
    'aten::lstm': _count_lstm,
}
