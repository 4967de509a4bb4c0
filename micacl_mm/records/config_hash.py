"""A short name for everything in a config that can change the numbers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from .config_text import short_type
from .pretraining import pretraining_of

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
_NO_MATTER = {
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


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash the settings of a training, ten hexadecimal digits.

    Two trainings have one hash if nothing but seed, fold, subset, places of
    files and speed differs between them, see docs/protocol.md. It is the
    same on all machines, and for the text and the pure-Python form of a
    config.

    Args:
        config (Mapping[str, Any]): As :func:`parse_config` returns it.

    Returns:
        str: the hash.
    """
    text = json.dumps(essentials(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def essentials(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change the numbers of a training.

    Args:
        config (Mapping[str, Any]): As :func:`parse_config` returns it.

    Returns:
        dict[str, Any]: what :func:`config_hash` hashes, ready for JSON.
    """
    kept = {name: config[name] for name in _PARTS if config.get(name)}
    # Not load_from, which a resumed training has lost.
    kept['pretraining'] = pretraining_of(config)
    for name in ('val_dataloader', 'test_dataloader'):
        kept[name] = _without(kept.get(name), 'batch_size')
    if not kept.get('auto_scale_lr', {}).get('enable'):
        kept.pop('auto_scale_lr', None)
    kept['randomness'] = _without(kept.get('randomness'), 'seed')
    kept['default_hooks'] = _busy_hooks(kept.get('default_hooks', {}))
    return _plain(kept)


def _without(part: Optional[Mapping[str, Any]], name: str) -> dict[str, Any]:
    return {key: value for key, value in (part or {}).items() if key != name}


def _busy_hooks(hooks: Mapping[str, Any]) -> dict[str, Any]:
    """Default hooks; of the checkpoints' only what chooses the best."""
    hooks = dict(hooks)
    if isinstance(hooks.get('checkpoint'), Mapping):
        hooks['checkpoint'] = {
            key: hooks['checkpoint'].get(key) for key in ('save_best', 'rule')
        }
    return hooks


def _plain(value: Any) -> Any:
    """Reduce to what counts, in one way of writing."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain_type(item) if key == 'type' else _plain(item)
            for key, item in value.items()
            if key not in _NO_MATTER and not _idle(item)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value if not _idle(item)]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the environment gives 0 or 0.0
    if isinstance(value, str):
        # Of a path its last part.
        return value.rstrip('/').rsplit('/', 1)[-1]
    return value


def _plain_type(name: Any) -> Any:
    return short_type(name) if isinstance(name, str) else _plain(name)


def _idle(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and short_type(value.get('type', '')) in _IDLE_HOOKS
    )
