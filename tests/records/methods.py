"""The methods of configs/leaderboard."""

import os
from functools import cache
from pathlib import Path
from unittest import mock

from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'configs' / 'leaderboard'
SETS = ('dfew', 'ferv39k', 'synthetic')
#: To what the others are compared.
REFERENCE = 'r3d18_mil'
#: As published: with preprocessing and dropout of their own.
PUBLISHED = ('m3dfel', 'micacl_reference')
#: The reference with another neck, loss or sampler.
ON_REFERENCE = (
    'weighted_ce',
    'balanced_sampling',
    'focal',
    'logit_adjustment',
    'supcon',
    'geiim',
    'wian',
    'geiim_wian',
    'mccl',
    'geiim_wian_mccl',
    'micacl_plus',
    'micacl_plus_without_mccl',
)
METHODS = tuple(sorted(path.stem for path in FOLDER.glob('*.py')))
#: Models of one clip or of single frames.
FAMILIES = tuple(sorted({*METHODS} - {REFERENCE, *PUBLISHED, *ON_REFERENCE}))
#: Those with weights for 224 px.
LARGE = (
    *('swin_tiny', 'mvit_small', 'timesformer', 'clip_vit_base'),
    *('videomae_vit_small', 'videomae_vit_base'),
)
#: Losses that are defined for hard labels.
HARD = (
    'weighted_ce',
    'focal',
    'logit_adjustment',
    'micacl_plus',
    'micacl_plus_without_mccl',
)


@cache
def load(name: str, method: str) -> Config:
    """The config of a method on a set; do not change it."""
    with mock.patch.dict(os.environ, MICACL_SET=name):
        return Config.fromfile(FOLDER / f'{method}.py')


def flatten(value, path='') -> dict:
    """Map dotted paths to their values."""
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
