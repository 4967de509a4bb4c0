"""A drawn set of facial expressions in the layouts of DFEW and FERV39k."""

from .action_units import ACTION_UNITS, EMOTIONS, RECIPES
from .clip import ClipSpec, clip_units, render_clip
from .difficulty import LEVELS, Difficulty, get_difficulty
from .settings import SyntheticSettings
from .writer import make_synthetic

__all__ = [
    'ACTION_UNITS',
    'EMOTIONS',
    'LEVELS',
    'RECIPES',
    'ClipSpec',
    'Difficulty',
    'SyntheticSettings',
    'clip_units',
    'get_difficulty',
    'make_synthetic',
    'render_clip',
]
