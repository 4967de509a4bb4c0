"""A short name for everything in a config that can change the numbers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from micacl_mm.utils.datasets import innermost

#: Packages whose classes a text config names without the package.
_BARE = ('micacl_mm', 'mmaction', 'mmcv', 'mmengine', 'torch')
#: What MMEngine's runner reads and can change a result. The other variables
#: of a config are there to be used in these, or concern log and machine.
_PARTS = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'val_evaluator',
    'test_evaluator',
    'default_hooks',
    'custom_hooks',
    'randomness',
    'runner_type',
    'sync_bn',
)
#: Where the data lie, how they are fetched, and what has its own column.
_IGNORED = {
    'data_root',
    'clip_root',
    'fold',
    'subset',
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'pack',
    'pack_missing',
}
#: Hooks that log, time, draw or store, or that keep every number the same.
_IDLE_HOOKS = {
    'ChannelsLastHook',
    'ConsistencyHook',
    'IterTimerHook',
    'LoggerHook',
    'NonFiniteLossHook',
    'ResultHook',
    'RuntimeInfoHook',
    'VisualizationHook',
}

#: Weight files by what they were trained on.
_KNOWN = {'k400': 'Kinetics-400', 'r3d_18-b3b3357e': 'Kinetics-400'}


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash the settings of a training, ten hexadecimal digits.

    Two trainings have one hash if nothing but seed, fold, subset, places of
    files and speed differs between them, see docs/maintainers.md. It is the
    same on all machines. The config is ``Config.to_dict()``, as for
    :func:`pretraining_of`.
    """
    kept = {name: config[name] for name in _PARTS if config.get(name)}
    # Not load_from, which a resumed training has lost.
    kept['pretraining'] = pretraining_of(config)
    # As the stock train tool completes it.
    kept['randomness'] = {
        'diff_rank_seed': False,
        'deterministic': False,
        **(kept.get('randomness') or {}),
    }
    for name, drop in (
        ('val_dataloader', 'batch_size'),
        ('test_dataloader', 'batch_size'),
        ('randomness', 'seed'),
    ):
        kept[name] = {k: v for k, v in kept.get(name, {}).items() if k != drop}
    if not kept.get('auto_scale_lr', {}).get('enable'):
        kept.pop('auto_scale_lr', None)
    hooks = kept['default_hooks'] = dict(kept.get('default_hooks', {}))
    if isinstance(hooks.get('checkpoint'), Mapping):
        hooks['checkpoint'] = {  # what chooses the best
            key: hooks['checkpoint'].get(key) for key in ('save_best', 'rule')
        }
    text = json.dumps(_plain(kept), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _plain(value: Any) -> Any:
    """Reduce to what counts, in one way of writing."""
    if isinstance(value, Mapping):
        return {
            str(key): _type(item) if key == 'type' else _plain(item)
            for key, item in value.items()
            if key not in _IGNORED and not _idle(item)
        }
    if isinstance(value, set):
        value = sorted(value, key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value if not _idle(item)]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the environment gives 0 or 0.0
    if isinstance(value, str):
        return value.rstrip('/').rsplit('/', 1)[-1]  # of a path the last part
    known = value is None or isinstance(value, (int, float))
    return value if known else repr(value)


def _type(name: Any) -> Any:
    if isinstance(name, type):
        name = f'{name.__module__}.{name.__qualname__}'
    return short_type(name) if isinstance(name, str) else _plain(name)


def _idle(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and _type(value.get('type')) in _IDLE_HOOKS
    )


def pretraining_of(config: Mapping[str, Any]) -> str:
    """Name the weights that a training starts from.

    It is the variable ``pretraining``; else the names of the weight files
    that the config asks for (``pretrained``, ``weights``, ``init_cfg`` of
    type Pretrained, ``load_from``), without folder and suffix, or the set
    where it is known; else ``'none'``.
    """
    if config.get('pretraining'):
        return str(config['pretraining'])
    files = _weights(config.get('model'))
    # A resumed training has its own checkpoint there.
    if config.get('load_from') and not config.get('resume'):
        files.append(config['load_from'])
    names = [file.rsplit('/', 1)[-1].removesuffix('.pth') for file in files]
    names = [_KNOWN.get(name, name) for name in names]
    return ' + '.join(dict.fromkeys(names)) or 'none'


def _weights(value: Any) -> list[str]:
    """Files, or names in a library, of the weights that a model asks for."""
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in _weights(item)]
    if not isinstance(value, Mapping):
        return []
    found = []
    kind = short_type(str(value.get('type', '')))
    for key in ('pretrained', 'weights'):
        if value.get(key):
            named = isinstance(value[key], str)
            found.append(value[key] if named else kind)
    if kind in ('Pretrained', 'PretrainedInit'):
        found.append(str(value.get('checkpoint')))
    return found + [name for v in value.values() for name in _weights(v)]


def short_type(name: str) -> str:
    """Name a class alike in a text and in a pure-Python config.

    ``'micacl_mm.models.GEIIM'`` becomes ``'GEIIM'``,
    ``'timm.models.resnet18'`` becomes ``'timm.resnet18'``.
    """
    package, _, rest = name.partition('.')
    last = rest.rsplit('.', 1)[-1]
    if not rest or package in _BARE:
        return last or name
    return f'{package}.{last}'


def inner_dataset(dataloader: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of the data set within wrappers; the first of several."""
    dataset = (dataloader or {}).get('dataset')
    return dict(next(innermost(dataset))) if dataset else {}
