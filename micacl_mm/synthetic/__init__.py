"""A drawn set of facial expressions in the layouts of DFEW and FERV39k."""

from .action_units import (
    ACTION_UNITS,
    EMOTIONS,
    LEVELS,
    RECIPES,
    Difficulty,
)
from .benchmark import make_benchmark, verify_benchmark
from .clip import ClipSpec, clip_units, render_clip
from .reference import BENCHMARK_LEVELS, DEVELOPMENT, benchmark_settings
from .settings import SyntheticSettings
from .writer import make_synthetic

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
