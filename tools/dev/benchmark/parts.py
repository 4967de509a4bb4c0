"""The parts of the benchmark."""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from .figure import Figure
from .options import Options


class Part(NamedTuple):
    """One part: what it is called and where it is measured."""

    title: str
    #: Module of this package.
    module: str
    #: Its function, called with :class:`~.options.Options`.
    function: str = 'measure'


PARTS = {
    'step': Part('R3D-18 with MICACL against without', 'training_step'),
    'contrastive': Part('MCCLLoss against SupConLoss', 'contrastive'),
    'growth': Part('Growth of MCCLLoss', 'contrastive', 'measure_growth'),
    'necks': Part('GEIIM and WIAN against loops', 'necks'),
    'data': Part('Data path', 'data_path'),
    'rare': Part('Rare classes', 'rare_costs'),
    'startup': Part('Start-up', 'startup'),
    'gpu': Part('GPU', 'gpu'),
}
#: What is run where nothing is said.
ON_CPU = ('step', 'contrastive', 'growth', 'necks', 'data', 'rare', 'startup')
ON_GPU = ('step', 'contrastive', 'growth', 'necks', 'gpu')


def measure_part(name: str, options: Options) -> dict[str, Any]:
    """Measure one part.

    Args:
        name (str): A key of :data:`PARTS`.
        options (Options): For all parts.

    Returns:
        dict[str, Any]: ``title``, ``seconds`` that it took and ``figures``.
    """
    part = PARTS[name]
    module = import_module(f'.{part.module}', __package__)
    measure: Callable[[Options], list[Figure]] = getattr(module, part.function)
    start = time.perf_counter()
    figures = measure(options)
    return dict(
        title=part.title,
        seconds=round(time.perf_counter() - start, 1),
        figures=[figure.to_dict() for figure in figures],
    )
