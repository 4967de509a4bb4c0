"""Configs in both forms, and how to compare them."""

from functools import lru_cache
from itertools import chain

import mmaction.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from micacl_mm.registry import MODELS

from .conftest import ROOT

TEXT, NEW = ROOT / 'configs', ROOT / 'micacl_mm/configs'


def with_bases(leaves):
    """Paths of text configs and of all that they inherit from."""
    found, ahead = set(), [leaf.resolve() for leaf in leaves]
    while ahead:
        leaf = ahead.pop()
        found.add(leaf)
        bases = Config._get_base_files(leaf)
        ahead += [(leaf.parent / base).resolve() for base in bases]
    return sorted(
        path.relative_to(TEXT.resolve()).as_posix() for path in found
    )


#: Leaderboard methods, and bases that nothing else uses, have no twins: they
#: are run by tools/kfold.py and not inherited.
PATHS = with_bases([*TEXT.glob('*.py'), *TEXT.glob('mixing/*.py')])
RECIPES = [path for path in PATHS if '/' not in path]
EXAMPLES = [path for path in PATHS if path.startswith('mixing/')]
LEAVES = [*RECIPES, *EXAMPLES]
#: Those with the settings of a set of faces.
OTHERS = ('_actions.py', '_folder.py')
FACES = [path for path in LEAVES if not path.endswith(OTHERS)]
OPTIONS = dict(
    DATA_ROOT='/faces',
    FOLD='3',
    SUBSET='Crime',
    SOURCE='videos',
    VAL_RATIO='0',
    MISSING='drop',
    CLIP_ROOT='aligned',
)
CLASSES = ('type', 'constructor')  # keys whose values are classes


@lru_cache
def registered(name):
    """What a bare name means: MMAction2's class, or else MMEngine's."""
    for scope in ('mmaction', 'mmengine'):
        found = {
            registry.module_dict[name]
            for registry in vars(mmaction.registry).values()
            if isinstance(registry, Registry)
            and registry.scope == scope
            and name in registry.module_dict
        }
        if found:
            (cls,) = found
            return cls
    raise AssertionError(f'{name} is registered nowhere')


def named(value, key=None):
    """Bring classes and dotted names to the bare names of text configs."""
    if isinstance(value, dict):
        return {key: named(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(named(item) for item in value)
    if key in CLASSES and isinstance(value, str) and '.' in value:
        # MMPretrain's names, alone in text configs, are not quite dotted.
        value = get_object_from_string(value) or value
    if isinstance(value, type):
        if value.__module__.startswith('mmpretrain.'):
            name = f'mmpretrain.{value.__name__}'
            assert MODELS.get(name) is value
            return name
        assert registered(value.__name__) is value
        return value.__name__
    return value


def load(path):
    config = Config.fromfile(path)
    return named({key: config[key] for key in config.to_dict()})


def differences(new, text, where=''):
    """List the places where two configs differ, for a readable failure."""
    if isinstance(new, dict) and isinstance(text, dict):
        pairs = [
            (new.get(key, 'absent'), text.get(key, 'absent'), f'{where}.{key}')
            for key in chain(text, new.keys() - text.keys())
        ]
    elif (
        isinstance(new, (list, tuple))
        and type(new) is type(text)
        and len(new) == len(text)
    ):
        pairs = [
            (*pair, f'{where}[{place}]')
            for place, pair in enumerate(zip(new, text, strict=True))
        ]
    else:
        return [] if new == text else [(where, new, text)]
    return list(chain(*(differences(*pair) for pair in pairs)))
