"""R3D-18 with MICACL against the same recognizer without it.

Both are built from their configs, with the same optimizer, and see the same
random bags of 4 x 4 frames of 112 px. A step is MMEngine's own ``train_step``:
preprocessing, forward, losses, backward, AdamW.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Optional

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper

from micacl_mm.records.complexity import measure_complexity

from . import memory
from .figure import Figure, memory_figure, time_figure
from .options import Options
from .recipe import (
    OTHER,
    OURS,
    WIDTH,
    build_model,
    load_config,
    random_bags,
)
from .timing import compare, time_in_turn

TIME_BAR, MEMORY_BAR = 1.03, 1.02
_THAN = 'without MICACL'
#: Batches whose memory is measured on the CPU, and the recipe's, to which a
#: line through them leads.
_BATCHES, _RECIPE = (2, 4), 32


class Stepper:
    """A model, its optimizer and a batch.

    Args:
        name (str): File of the config.
        batch (int): Videos.
        device (str): Defaults to ``'cpu'``.
        dtype (str, optional): For autocast, ``'bfloat16'`` or ``'float16'``
            (without loss scaling: for timing). Defaults to None, float32.
        width (int): Base channels of the backbone. Defaults to 64.
        size (int): Side of a frame. Defaults to 112.
    """

    def __init__(
        self,
        name: str,
        batch: int,
        device: str = 'cpu',
        dtype: Optional[str] = None,
        width: int = WIDTH,
        size: int = 112,
    ) -> None:
        cfg = load_config(name, width)
        self.device, self.dtype = device, dtype
        self.model = build_model(cfg, device)
        self.optimizer: OptimWrapper = build_optim_wrapper(
            self.model, cfg.optim_wrapper
        )
        self.data = random_bags(batch, size)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        kind = torch.device(self.device).type
        dtype = self.dtype and getattr(torch, self.dtype)
        with torch.autocast(kind, dtype, enabled=self.dtype is not None):
            yield

    def train(self) -> None:
        """One iteration of training."""
        self.model.train()
        with self._precision():
            data = self.model.data_preprocessor(self._batch(), True)
            losses = self.model(**data, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        self.optimizer.update_params(loss)

    def infer(self) -> None:
        """Predict one batch."""
        self.model.eval()
        with torch.no_grad(), self._precision():
            self.model.test_step(self._batch())

    def _batch(self) -> dict:
        # The preprocessor may change the dict, not what is in it.
        return dict(self.data)


def memory_case(what: str, **kwargs) -> Callable[[], None]:
    """What is measured for memory: the model is built within it, too."""
    # Libraries keep what they make at their first use: not in the figure.
    warm = Stepper(**{**kwargs, 'batch': 2, 'width': 4, 'size': 16})
    getattr(warm, what)()

    def run() -> None:
        stepper = Stepper(**kwargs)
        for _ in range(2):  # from the second step on AdamW has its state
            getattr(stepper, what)()

    return run


def measure_steps(batch: int, rounds: int, **kwargs) -> list[Figure]:
    """Compare times at one batch size.

    Args:
        batch (int): Videos.
        rounds (int): See :func:`~.timing.time_in_turn`.
        kwargs: Of :class:`Stepper`.
    """
    device = kwargs.get('device', 'cpu')
    ours, other = (Stepper(n, batch, **kwargs) for n in (OURS, OTHER))
    found = []
    for what, title in (('train', 'training'), ('infer', 'inference')):
        functions = [getattr(ours, what), getattr(other, what)]
        times = time_in_turn(functions, rounds=rounds, device=device)
        case = _case(title, batch, kwargs)
        found.append(time_figure(case, compare(*times), _THAN, bar=TIME_BAR))
    return found


def measure_memory(
    batches: tuple[int, ...], whats: tuple[str, ...], **kwargs
) -> list[Figure]:
    """Compare peak memory, model, gradients and optimizer included."""
    device = kwargs.get('device', 'cpu')
    cases = [
        dict(what=what, name=name, batch=batch, **kwargs)
        for what in whats
        for batch in batches
        for name in (OURS, OTHER)
    ]
    found = memory.peaks(f'{__name__}:memory_case', cases, device)
    titles = dict(train='training', infer='inference')
    return [
        memory_figure(
            _case(titles[case['what']], case['batch'], kwargs),
            *(peak.bytes for peak in found[i : i + 2]),
            _THAN,
            bar=MEMORY_BAR,
        )
        for i, case in enumerate(cases)
        if i % 2 == 0
    ]


def _case(title: str, batch: int, kwargs: dict) -> dict:
    dtype = kwargs.get('dtype')
    return dict(what=title, batch=batch) | (dict(dtype=dtype) if dtype else {})


def at_recipe_batch(figures: list[Figure]) -> list[Figure]:
    """Follow the lines through two batch sizes to the recipe's 32 videos.

    Weights, gradients and AdamW's state are a fixed amount; activations grow
    with the batch, by the same backbone in both, so that the lines get one
    slope. None where the larger batch does not take more: that is noise.
    """
    small, large = figures
    if small.ours >= large.ours or small.other >= large.other:
        return []
    n, m = small.case['batch'], large.case['batch']
    rise = large.ours - small.ours + large.other - small.other
    slope, middle = rise / (2 * (m - n)), (n + m) / 2
    ours, other = (
        round((low + high) / 2 + slope * (_RECIPE - middle))
        for low, high in ((small.ours, large.ours), (small.other, large.other))
    )
    case = dict(what=small.case['what'], batch=_RECIPE)
    note = f'by lines of one slope through batches of {n} and {m}'
    return [memory_figure(case, ours, other, _THAN, bar=MEMORY_BAR, note=note)]


def count_work(**kwargs) -> list[Figure]:
    """Multiply-adds of a bag and parameters: what bounds time and memory."""
    size = kwargs.get('size', 112)
    ours, other = (
        measure_complexity(
            build_model(load_config(name, kwargs.get('width', WIDTH))).eval(),
            (4, 3, 4, size, size),
        )
        for name in (OURS, OTHER)
    )
    pairs = (
        ('multiply-adds of a bag', ours.gflops, other.gflops, 'billion'),
        (
            'parameters',
            ours.parameters / 1e6,
            other.parameters / 1e6,
            'million',
        ),
    )
    return [
        Figure({}, what, a and a / b, a, b, _THAN, unit=unit)
        for what, a, b, unit in pairs
    ]


def measure(options: Options) -> list[Figure]:
    """Measure times and memory of training and inference."""
    if options.on_gpu:
        batch, device = options.batch, options.device
        return [
            *count_work(),
            *measure_steps(batch, 20, device=device),
            *measure_memory((batch,), ('train', 'infer'), device=device),
        ]
    small = dict(width=16, size=48) if options.quick else {}
    figures = count_work(**small)
    batches = [options.batch, *([] if options.quick else _BATCHES)]
    for batch in dict.fromkeys(batches):
        figures += measure_steps(batch, 3, **small)
    training = measure_memory(_BATCHES, ('train',), **small)
    figures += training + at_recipe_batch(training)
    return figures + measure_memory((options.batch,), ('infer',), **small)
