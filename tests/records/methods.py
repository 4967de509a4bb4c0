"""The leaves of configs/leaderboard."""

from functools import cache
from pathlib import Path

from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'configs' / 'leaderboard'
SETS = ('dfew', 'ferv39k', 'synthetic')
#: To what the others are compared.
REFERENCE = 'r3d18_mil'
#: The reference with one part changed.
ON_REFERENCE = (
    'weighted_ce',
    'balanced_sampling',
    'focal',
    'logit_adjustment',
    'supcon',
    'm3dfel',
    'geiim',
    'wian',
    'geiim_wian',
    'mccl',
    'micacl',
)
#: Models of one clip or of single frames.
FAMILIES = (
    'c3d',
    'i3d',
    'r2plus1d18',
    'r3d18',
    'x3d',
    'slowonly',
    'tsm',
    'swin_tiny',
    'mvit_small',
    'timesformer',
    'videomae_vit_small',
    'videomae_vit_base',
    'clip_vit_base',
)
METHODS = (REFERENCE, *ON_REFERENCE, *FAMILIES)
#: Those with weights for 224 px.
LARGE = FAMILIES[FAMILIES.index('swin_tiny') :]
#: Losses that are defined for hard labels.
HARD = ('weighted_ce', 'focal', 'logit_adjustment')


@cache
def load(name: str, method: str) -> Config:
    """The config of a method on a set; do not change it."""
    return Config.fromfile(FOLDER / name / f'{method}.py')


def flatten(value, path='') -> dict:
    """Map dotted paths to what stands there."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)) and any(
        isinstance(item, (dict, list, tuple)) for item in value
    ):
        items = enumerate(value)
    else:
        return {path: value}
    found = {}
    for key, item in items:
        found |= flatten(item, f'{path}.{key}' if path else str(key))
    # An empty list is something else than no list.
    return found or {path: value}
