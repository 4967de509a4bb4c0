"""Which weights a training started from."""

from collections.abc import Mapping
from typing import Any

from .config_text import short_type

#: Weight files by what they were trained on.
_KNOWN = {'k400': 'Kinetics-400', 'r3d_18-b3b3357e': 'Kinetics-400'}


def pretraining_of(config: Mapping[str, Any]) -> str:
    """Name the weights that a training starts from.

    Args:
        config (Mapping[str, Any]): As :func:`parse_config` returns it.

    Returns:
        str: the variable ``pretraining``; else the names of the weight files
        that the config asks for (``pretrained``, ``weights``, ``init_cfg`` of
        type Pretrained, ``load_from``), without folder and suffix, or the
        set where it is known; else ``'none'``.
    """
    if config.get('pretraining'):
        return str(config['pretraining'])
    files = _weights(config.get('model'))
    # A training that goes on has the weights of its own checkpoint there.
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
