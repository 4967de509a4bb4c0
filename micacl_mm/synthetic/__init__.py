"""A drawn set of facial expressions in the layouts of DFEW and FERV39k."""

from .benchmark import (
    BENCHMARK_LEVELS,
    DEVELOPMENT,
    benchmark_settings,
    make_benchmark,
)
from .clip import EMOTIONS, LEVELS, ClipSpec, render_clip
from .writer import SyntheticSettings, make_synthetic

__all__ = [
    'BENCHMARK_LEVELS',
    'DEVELOPMENT',
    'EMOTIONS',
    'LEVELS',
    'ClipSpec',
    'SyntheticSettings',
    'benchmark_settings',
    'make_benchmark',
    'make_synthetic',
    'render_clip',
]
