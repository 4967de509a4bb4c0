"""Find the folders of the classes of a set, and order the classes."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, Optional, Union

from .folders import is_dir, list_visible, natural_key

#: Names of folders that are given splits, in any case.
SPLITS = {
    'train': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
}
#: What archives, servers and file systems leave beside the data.
_STRAY = {
    '__MACOSX',
    '@eaDir',
    '$RECYCLE.BIN',
    'System Volume Information',
    'lost+found',
}
EXPECTED_TREE = """\
<data_root>/
  <class>/<clip>.mp4             videos, also in folders below the class
  <class>/<clip>/*.jpg           or a folder of frames for each clip
or, with splits of your own,
  train/<class>/...  val/<class>/...  test/<class>/..."""


class ClassFolder(NamedTuple):
    """A folder of clips: its given split or '', its class, its path."""

    split: str
    name: str
    path: str


def list_class_folders(root: str) -> list[ClassFolder]:
    """List the folders of the classes, naturally sorted.

    Args:
        root (str): A folder that exists.

    Raises:
        ValueError: There is none, or some are splits and others are not.
    """
    top = _folders(root)
    splits = [entry for entry in top if entry.name.lower() in SPLITS]
    # One alone among others is a class, as `train` is among vehicles.
    if len(splits) > 1 and len(splits) < len(top):
        others = [entry for entry in top if entry not in splits]
        fail(
            f'{root} must hold splits or classes, got the splits '
            f'{_names(splits)} and {_names(others)} beside them',
            'move what is no split out of the folder',
        )
    if splits and len(splits) == len(top):
        return _given_folders(splits, root)
    found = [ClassFolder('', normalise(e.name), e.path) for e in top]
    if not found:
        fail(
            f'{root} must hold a folder for each class, got none',
            'sort the clips into such folders, or set data_root (--data-root '
            'DIR)',
        )
    return found


def parse_classes(
    classes: Union[str, Sequence[str], None],
) -> Optional[list[str]]:
    """Read classes that were given as a list or as a text with commas.

    Args:
        classes (str | Sequence[str], optional): ``'auto'`` is None.

    Returns:
        list[str] | None: None if none are given.
    """
    if classes is None or classes == 'auto':
        return None
    if isinstance(classes, str):
        classes = [name.strip() for name in classes.split(',')]
    return [normalise(str(name)) for name in classes]


def order_classes(
    folders: Sequence[ClassFolder], wanted: Optional[list[str]], root: str
) -> list[str]:
    """Order the classes as wanted, or naturally.

    Args:
        folders (Sequence[ClassFolder]): The folders of the classes.
        wanted (list[str], optional): Their names in the order wanted.
        root (str): For messages.

    Raises:
        ValueError: Fewer than two classes, or others than wanted.
    """
    found = sorted({folder.name for folder in folders}, key=natural_key)
    if _doubles(found):
        fail(
            'classes must differ by more than case, got '
            f'{", ".join(_doubles(found))} in {root}',
            'rename one of them',
        )
    if len(found) < 2:
        fail(
            f'{root} must hold the folders of two classes or more, got one, '
            f'{found[0]!r}',
            'set data_root (--data-root DIR) to the folder right above those '
            'of the classes',
        )
    if wanted is None:
        return found
    wrong = [
        *(f'listed twice: {name}' for name in _doubles(wanted)),
        *(f'without a folder: {n}' for n in wanted if n not in found),
        *(f'not listed: {name}' for name in found if name not in wanted),
    ]
    if wrong:
        fail(
            f'classes must be the folders in {root}, which are '
            f'{", ".join(found)}, got {", ".join(wanted)} '
            f'({"; ".join(wrong)})',
            'list each once, or leave classes (--classes) out; the config '
            'that a run has stored lists the classes of that run',
        )
    return wanted


def fail(problem: str, cure: str, kind: type = ValueError) -> NoReturn:
    """Raise an error as :class:`ClassFolderDataset` does."""
    raise kind(
        f'ClassFolderDataset: {problem}; do {cure}. Expected tree:\n'
        f'{EXPECTED_TREE}'
    ) from None


def is_stray(name: str) -> bool:
    """Whether a file or folder is none of the user's own."""
    return name.startswith('.') or name in _STRAY


def leads_up(real: str, chain: Sequence[str]) -> bool:
    """Whether a folder is, or holds, one that led to it.

    Args:
        real (str): Real path of the folder.
        chain (Sequence[str]): Real paths of the folders that led to it.
    """
    inside = os.path.join(real, '')
    return any(path == real or path.startswith(inside) for path in chain)


def normalise(name: str) -> str:
    """One spelling: macOS takes accents apart from their letters."""
    return unicodedata.normalize('NFC', name)


def _given_folders(
    splits: Sequence[os.DirEntry], root: str
) -> list[ClassFolder]:
    """Folders of the classes in those of the splits."""
    found: dict[str, list[ClassFolder]] = {}
    for entry in splits:
        split = SPLITS[entry.name.lower()]
        if split in found:
            fail(
                f'each split must have one folder, got {_names(splits)} in '
                f'{root}',
                'join those that mean the same',
            )
        found[split] = [
            ClassFolder(split, normalise(below.name), below.path)
            for below in _folders(entry.path, root)
        ]
        if not found[split]:
            fail(
                f'{entry.path} must hold a folder for each class, got none',
                'sort its clips into such folders, or remove it',
            )
    return [folder for folders in found.values() for folder in folders]


def _folders(folder: str, root: Optional[str] = None) -> list[os.DirEntry]:
    """Folders that may be classes or splits, none that leads up."""
    chain = [os.path.realpath(path) for path in (root or folder, folder)]
    return [
        entry
        for entry in list_visible(folder)
        if is_dir(entry)
        and not is_stray(entry.name)
        and not leads_up(os.path.realpath(entry.path), chain)
    ]


def _doubles(names: Sequence[str]) -> list[str]:
    """Names that are there twice but for upper and lower case."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name.lower()].append(name)
    return [name for same in alike.values() if same[1:] for name in same]


def _names(entries: Sequence[os.DirEntry]) -> str:
    return ', '.join(entry.name for entry in entries)
