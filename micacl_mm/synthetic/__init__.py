"""A drawn set of facial expressions in the layouts of DFEW and FERV39k."""

from .action_units import (
    ACTION_UNITS,
    EMOTIONS,
    LEVELS,
    RECIPES,
    Difficulty,
)
from .benchmark import (
    BENCHMARK_LEVELS,
    DEVELOPMENT,
    benchmark_settings,
    make_benchmark,
    verify_benchmark,
)
from .clip import ClipSpec, clip_units, render_clip
from .writer import SyntheticSettings, make_synthetic

__all__ = [
    'ACTION_UNITS',
    'BENCHMARK_LEVELS',
    'DEVELOPMENT',
    'EMOTIONS',
    'LEVELS',
    'RECIPES',
    'ClipSpec',
    'Difficulty',
    'SyntheticSettings',
    'benchmark_settings',
    'clip_units',
    'make_benchmark',
    'make_synthetic',
    'render_clip',
    'verify_benchmark',
]
