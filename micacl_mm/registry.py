"""The registries in use: MMAction2's own, so that bare names just work.

Nothing here defines a scope of its own. Registering in MMAction2's registries
is the only form in which ``type='GEIIM'`` resolves in any text config after
one ``custom_imports`` line.
"""

from mmaction.registry import (
    DATASETS,
    HOOKS,
    INFERENCERS,
    METRICS,
    MODELS,
    TASK_UTILS,
    TRANSFORMS,
)

__all__ = [
    'DATASETS',
    'HOOKS',
    'INFERENCERS',
    'METRICS',
    'MODELS',
    'TASK_UTILS',
    'TRANSFORMS',
]
