"""Read the text of a config without running it."""

import ast
from collections.abc import Mapping
from typing import Any, Optional

#: Characters of a text; configs have some ten thousand.
_MOST = 2**20
#: Packages whose classes a text config names without the package.
_BARE = ('micacl_mm', 'mmaction', 'mmcv', 'mmengine', 'torch')


def parse_config(text: str) -> dict[str, Any]:
    """Read the text that MMEngine keeps of a config in a checkpoint.

    ``Config.fromstring`` would run it, and a stranger's checkpoint must not
    run code. What is neither a literal nor ``dict(...)`` stays text.

    Args:
        text (str): ``Config.pretty_text``.

    Returns:
        dict[str, Any]: its variables; tuples have become lists.

    Raises:
        ValueError: The text is no Python, or too long or too deep for a
            config.
    """
    if len(text) > _MOST:
        raise ValueError(
            f'parse_config: a config must have at most {_MOST} characters, '
            f'got {len(text)}'
        )
    try:
        return {
            target.id: _read(statement.value)
            for statement in ast.parse(text).body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
    except (
        *(SyntaxError, TypeError, ValueError),
        *(RecursionError, MemoryError),  # what the parser says of depth
    ) as error:
        raise ValueError(
            f'parse_config: the text must be a config in Python, got {error}'
        ) from None


def short_type(name: str) -> str:
    """Name a class alike in a text and in a pure-Python config.

    Args:
        name (str): ``'GEIIM'``, ``'micacl_mm.models.GEIIM'``, or a name of
            another library, ``'timm.models.resnet18'``.

    Returns:
        str: ``'GEIIM'``; of other libraries ``'timm.resnet18'``.
    """
    package, _, rest = name.partition('.')
    last = rest.rsplit('.', 1)[-1]
    if not rest or package in _BARE:
        return last or name
    return f'{package}.{last}'


def inner_dataset(dataloader: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of the data set within wrappers; the first of several.

    Args:
        dataloader (Mapping[str, Any], optional): As in a config.

    Returns:
        dict[str, Any]: empty without a dataloader.
    """
    inner = dataloader if isinstance(dataloader, Mapping) else {}
    dataset = inner.get('dataset')
    while isinstance(dataset, Mapping):
        parts = dataset.get('datasets')
        inner = dataset.get('dataset') or (parts[0] if parts else None)
        if inner is None:
            return dict(dataset)
        dataset = inner
    return {}


def _read(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_read(item) for item in node.elts]
    if isinstance(node, ast.Set):
        return sorted(map(_read, node.elts), key=repr)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_read(key): _read(value) for key, value in pairs if key}
    if _is_dict_call(node):
        # dict({...}) where a key is no identifier.
        merged = {}
        for part in node.args:
            merged.update(_read(part))
        for keyword in node.keywords:
            merged[keyword.arg] = _read(keyword.value)
        return merged
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node)
    # Bytes and complex numbers are literals too, but not of JSON.
    known = value is None or isinstance(value, (str, int, float))
    return value if known else ast.unparse(node)


def _is_dict_call(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and all(isinstance(part, ast.Dict) for part in node.args)
        and all(keyword.arg for keyword in node.keywords)
    )
