"""Options that choose the data of a config: folder, fold, validation slice.

An option takes one way from the command line to the argument of a class::

    micacl train CONFIG --fold 2     option, checked when it is read
    MICACL_FOLD=2                    environment variable: ranks, data workers
                                     and test tools inherit it
    fold = option('fold', 1)         variable of the config
    dataset=dict(fold=fold)          argument

A text config reads it like this; without the ``_base_`` line MMEngine would
take a file with this import for a pure-Python config::

    _base_ = []
    from micacl_mm.options import option

    data_root = option('data_root', 'data/DFEW')
"""

import difflib
import os
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ConfigError, MissingFileError


def _integer(text: str) -> int:
    if not re.fullmatch(r'[0-9]{1,4}', text):
        raise ValueError
    return int(text)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError
    return value


def _choice(*known: str) -> tuple[Callable[[str], str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError
        return text

    return parse, f'one of {", ".join(known)}'


class Option(NamedTuple):
    """How an option is read and described."""

    help: str
    parse: Callable[[str], Any] = str
    expected: str = ''


SETS = (
    *('dfew', 'ferv39k', 'mafw', 'cremad', 'cremad_lt', 'ravdess', 'caer'),
    'synthetic',
)
_SHARE = _share, 'a number from 0 to below 1, such as 0.1 for 10 %'
OPTIONS = {
    'data_root': Option('folder of the data set'),
    'fold': Option('fold, from 1', _integer, 'a whole number'),
    'set': Option(f'leaderboard: {", ".join(SETS)}', *_choice(*SETS)),
    'imbalance': Option(
        'CREMA-D-LT: clips of the most frequent class for one of the rarest',
        float,
        'a number, 1 or more',
    ),
    'tail_order': Option(
        'CREMA-D-LT: all classes from most to fewest clips, with commas'
    ),
    'subset': Option('FERV39k: all, a scene or a scenario'),
    'source': Option(
        "'frames' or 'videos'", *_choice('frames', 'videos', 'auto')
    ),
    'missing': Option(
        "absent clips: 'raise' or 'drop'", *_choice('raise', 'drop')
    ),
    'clip_root': Option('folder of the clips, instead of a search'),
    'pack': Option('file of packed frames'),
    'val_ratio': Option(
        'share of the training clips to choose checkpoints on; 0 chooses on '
        'the test split',
        *_SHARE,
    ),
    'test_ratio': Option(
        'own classes: share of the clips to test on', *_SHARE
    ),
    'classes': Option(
        'own classes in the order of their labels, separated by commas'
    ),
    'group_pattern': Option(
        "own classes: regular expression for the person in a clip's name",
        lambda text: re.compile(text).pattern,
        'a regular expression',
    ),
    'track': Option(
        "'tensorboard' or 'wandb': send the curves there too",
        *_choice('tensorboard', 'wandb'),
    ),
}


def variable(name: str) -> str:
    """Environment variable of an option."""
    return f'MICACL_{name.upper()}'


def flag(name: str) -> str:
    """Flag of an option on the command line."""
    return f'--{name.replace("_", "-")}'


def option(name: str, default: Any = None) -> Any:
    """Return the parsed value of an option, for a variable of a config.

    Args:
        name (str): One of :data:`OPTIONS`.
        default (Any): Where it is not given, or empty. Defaults to None.

    Raises:
        ConfigError: The value has the wrong form.
    """
    text = os.environ.get(variable(name), '')
    return parse_option(name, text) if text else default


def for_classes(model: Any, number: int) -> Any:
    """Copy the settings of a model with another ``num_classes`` throughout."""
    if isinstance(model, dict):
        return {
            key: number if key == 'num_classes' else for_classes(part, number)
            for key, part in model.items()
        }
    if isinstance(model, (list, tuple)):
        return type(model)(for_classes(part, number) for part in model)
    return model


def parse_option(name: str, text: str) -> Any:
    """Parse the text of an option.

    Raises:
        ConfigError: It has the wrong form.
    """
    known = OPTIONS[name]
    try:
        return known.parse(text)
    except (ValueError, re.error):
        raise ConfigError(
            f'{flag(name)} ({variable(name)}) must be {known.expected}, got '
            f'{text!r}'
        ) from None


def set_option(name: str, text: str) -> None:
    """Set an option for this process and those that it starts.

    Raises:
        ConfigError: The text has the wrong form.
    """
    parse_option(name, text)
    os.environ[variable(name)] = text


def take_options(arguments: Sequence[str]) -> list[str]:
    """Check our options, set their variables, return the other arguments.

    What follows an option of ours and its value is positional and moves to
    the front, so that an option before it with several values does not
    swallow it.

    Raises:
        ConfigError: An option has no value, or one of the wrong form.
    """
    for name in OPTIONS:
        text = os.environ.get(variable(name))
        if text == '':
            del os.environ[variable(name)]  # {{$NAME:default}} would take it
        elif text is not None:
            parse_option(name, text)
    flags = {flag(name): name for name in OPTIONS}
    front, rest, positional = [], [], True
    tokens = iter(arguments)
    for token in tokens:
        given, equals, value = token.partition('=')
        if given in flags:
            name = flags[given]
            value = value if equals else next(tokens, '')
            if not value:
                raise ConfigError(
                    f'{given} needs a value: {OPTIONS[name].help}'
                )
            set_option(name, value)
            positional = True
        elif positional and not token.startswith('-'):
            front.append(token)
        else:
            rest.append(token)
            positional = False
    return front + rest


def help_options() -> str:
    """Return one line of help for each option."""
    return '\n'.join(
        f'  {flag(name):<16} {known.help} ({variable(name)})'
        for name, known in OPTIONS.items()
    )


def package_folders(package: str, name: str) -> list[Path]:
    """Folders ``configs`` or ``tools`` that belong to a package.

    A wheel carries them in .mim, a checkout beside the package.
    """
    root = Path(find_spec(package).submodule_search_locations[0])
    return [root / '.mim' / name, root.parent / name]


def find_config(name: str) -> str:
    """Return the path of a config: a file, or the name of a shipped one.

    Args:
        name (str): ``'my/config.py'``, ``'micacl_dfew'``,
            ``'leaderboard/wian'``; ``configs/`` and ``.py`` may be given.

    Raises:
        MissingFileError: There is neither.
    """
    if Path(name).is_file():
        return name
    folders = package_folders('micacl_mm', 'configs')
    wanted = name.removeprefix('configs/').removesuffix('.py')
    for folder in folders:
        path = folder / f'{wanted}.py'
        if path.is_file():
            return str(path)
    known = sorted(
        path.relative_to(folder).with_suffix('').as_posix()
        for folder in folders
        for path in folder.rglob('*.py')
        if '_base_' not in path.parts
    )
    near = ', '.join(nearest(name, known))
    raise MissingFileError(
        f'there is no config {name}',
        f'give the path of a file, or one of: {near}',
    )


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Those of some names that are like a wrong one, or all of them."""
    near = [text for text in known if Path(name).stem in text]
    near += difflib.get_close_matches(name, known)
    return list(dict.fromkeys(near)) or list(known)
