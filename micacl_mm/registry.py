"""The registries in use: MMAction2's own, so that bare names just work.

Nothing here defines a scope of its own. Registering in MMAction2's registries
is the only form in which ``type='GEIIM'`` resolves in any text config after
one ``custom_imports`` line.

Like MMAction2's own, our modules are imported when a registry first looks up
a name, which keeps ``import micacl_mm`` light.
"""

from importlib import import_module

from mmaction.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    INFERENCERS,
    METRICS,
    MODELS,
    TASK_UTILS,
    TRANSFORMS,
)

_LOCATIONS = {
    'micacl_mm.apis': [INFERENCERS],
    'micacl_mm.datasets': [DATASETS, DATA_SAMPLERS, TRANSFORMS],
    'micacl_mm.evaluation': [METRICS],
    'micacl_mm.faces': [TASK_UTILS, TRANSFORMS],
    'micacl_mm.hooks': [HOOKS],
    'micacl_mm.models': [MODELS],
}


def add_locations() -> None:
    """Add our modules to those that the registries import on demand."""
    for module, registries in _LOCATIONS.items():
        if any(registry._imported for registry in registries):
            import_module(module)  # the registry will not look again
        for registry in registries:
            if module not in registry._locations:
                registry._locations.append(module)
