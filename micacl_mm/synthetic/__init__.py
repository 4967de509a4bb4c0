"""A drawn set of facial expressions in the layouts of DFEW and FERV39k."""

from .benchmark import (
    BENCHMARK_LEVELS,
    DEVELOPMENT,
    benchmark_settings,
    make_benchmark,
)
from .clip import EMOTIONS, LEVELS
from .writer import make_synthetic

__all__ = [
    'BENCHMARK_LEVELS',
    'DEVELOPMENT',
    'EMOTIONS',
    'LEVELS',
    'benchmark_settings',
    'make_benchmark',
    'make_synthetic',
]
