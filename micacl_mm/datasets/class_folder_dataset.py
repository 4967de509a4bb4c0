"""Clips in a folder for each class."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, NoReturn, Optional, Union

from mmaction.utils import ConfigType

from micacl_mm.errors import ConfigError, DataError, check_choice
from micacl_mm.registry import DATASETS
from micacl_mm.utils.folders import (
    is_image,
    is_video,
    leads_up,
    list_folder,
    natural_key,
    walk,
)

from .base import BaseDFERDataset, shorten
from .splits import SplitRow, hold_out

#: Splits in the order of the cuts, and the argument that says how large.
CUTS = {'train': '', 'test': 'test_ratio', 'val': 'val_ratio'}
#: Names of folders that are given splits, in any case.
SPLITS = {
    'train': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
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


class ClassClip(NamedTuple):
    """A clip: its name below the root without suffix, and where it is."""

    name: str
    path: str
    #: 'videos', 'frames', 'hollow' for a folder that holds nothing and would
    #: be a clip if it held frames, 'other' for a file that is neither.
    kind: str
    folder: ClassFolder


@DATASETS.register_module()
class ClassFolderDataset(BaseDFERDataset):
    """Your own clips, in a folder for each class.

    The classes are the names of the folders, the labels 0 to K - 1 follow
    their order. Clips are videos or folders of frames, right in the folder
    of a class or in folders below it; splits of your own are such trees in
    folders ``train``, ``val`` and ``test``.

    A split that has no folder is cut from the others' clips, the same on
    all machines: first ``test_ratio`` of each class for test, then
    ``val_ratio`` of what is left for val. Which clips are taken depends on
    their names without suffix, so that face crops of the videos are split
    as the videos are. A new clip moves no more than one other of its class
    in each cut.

    Args:
        data_root (str): The folder of the class folders.
        pipeline (list): Transforms.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Defaults to
            ``'train'``.
        classes (str | Sequence[str], optional): The classes in the order of
            their labels, as a list or in one text with commas. Every folder
            must be listed. Defaults to None, sorted naturally.
        source (str): ``'videos'``, ``'frames'``, or ``'auto'`` for whichever
            is there. Defaults to ``'auto'``.
        val_ratio (float): Share of the clips that are not for test. Unused
            with a folder ``val``. Defaults to 0.1.
        test_ratio (float): Share of all clips. Unused with a folder ``test``.
            Defaults to 0.2.
        split_seed (int): Seed of the cuts. Defaults to 0.
        group_pattern (str, optional): Regular expression that finds the
            person in the name of a clip, ``'happy/anna_001'`` for instance,
            as its first group: ``'/([^/_]+)_'``. No person is then on two
            sides of a cut. Defaults to None.
        metainfo (dict, optional): With ``classes``, some of the classes to
            use alone, in their order. Defaults to None.
        **kwargs: Further arguments of :class:`BaseDFERDataset`.

    Raises:
        ConfigError: For a wrong argument.
        DataError: For a folder that is no set of two classes or more.
        MissingFileError: For a missing root and for empty clips.

    Example:
        >>> from micacl_mm.datasets import ClassFolderDataset
        >>> train = ClassFolderDataset('data/own', pipeline=[])
        >>> train.metainfo['classes'], train.class_counts
    """

    EXPECTED_TREE = EXPECTED_TREE
    ROOT_CURE = 'set data_root (--data-root DIR)'

    def __init__(
        self,
        data_root: str,
        pipeline: list[Union[ConfigType, Callable]],
        split: str = 'train',
        classes: Union[str, Sequence[str], None] = None,
        source: str = 'auto',
        val_ratio: float = 0.1,
        test_ratio: float = 0.2,
        split_seed: int = 0,
        group_pattern: Optional[str] = None,
        metainfo: Optional[dict] = None,
        **kwargs,
    ) -> None:
        self.data_root = os.path.expanduser(data_root)
        sources = ('auto', 'videos', 'frames')
        check_choice('ClassFolderDataset', sources, source=source)
        self._check_ratio('test_ratio', test_ratio)
        self._check_root()
        self.test_ratio = test_ratio
        self.split_seed = split_seed
        self.group_pattern = group_pattern
        classes, source = find_classes(self.data_root, classes, source)
        self._all_classes = tuple(classes)
        super().__init__(
            data_root,
            pipeline,
            split=split,
            source=source,
            val_ratio=val_ratio,
            metainfo={'classes': self._all_classes, **(metainfo or {})},
            **kwargs,
        )
        # Not above: MMEngine takes a text there for the name of a file.
        name = os.path.basename(os.path.abspath(self.data_root))
        self._metainfo.setdefault('dataset_name', f'folder-{name}')

    @property
    def all_classes(self) -> tuple[str, ...]:
        """The folders of the classes in the order of their labels."""
        return self._all_classes

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'``, ``'val'`` or ``'test'``."""
        return self._cut(self._find())[split]

    def split_rows(self) -> list[SplitRow]:
        """Clips of the split and their labels."""
        return self.relabel(self.read_split(self.split))

    def load_data_list(self) -> list[dict]:
        """Cut the splits and look at each clip of this one."""
        clips = self._find()
        rows = self.relabel(self._cut(clips)[self.split])
        if not rows:
            cure, ratio = f'add a folder {self.split}', CUTS[self.split]
            if ratio:
                cure += (
                    f', or set {ratio} (--{ratio.replace("_", "-")}) above 0 '
                    'with at least two clips, or persons, of a class'
                )
            fail(
                f'there must be a clip for split {self.split!r} in '
                f'{self.data_root}, got none',
                cure,
            )
        infos = self.take_clips(
            rows,
            {clip.name.lower(): clip.path for clip in clips},
            f'folders of the classes in {self.data_root}',
        )
        labels = [info['label'] for info in infos]
        self._log_counts(labels, [])
        names = enumerate(self.metainfo['classes'])
        bare = [name for label, name in names if label not in labels]
        if bare:
            given = any(clip.folder.split == self.split for clip in clips)
            why = '' if given else ': a single clip or person stays in train'
            self._warn(f'{self.split} has no {", ".join(bare)}{why}.')
        return infos

    def _find(self) -> list[ClassClip]:
        """List all clips of the source, empty ones of frames too."""
        folders = list_class_folders(self.data_root)
        found = find_class_clips(folders)
        own = [clip for clip in found if clip.kind == self.source]
        self._check_filled(own, {folder.split for folder in folders})
        others = [clip for clip in found if clip.kind in ('videos', 'frames')]
        if len(others) > len(own):
            self._warn(
                f'{len(others) - len(own)} clips are no {self.source} and '
                'not used.'
            )
        suffixes = Counter(
            os.path.splitext(clip.path)[1].lower() or 'without suffix'
            for clip in found
            if clip.kind == 'other'
        )
        if suffixes:
            listed = [f'{n} {suffix}' for suffix, n in suffixes.items()]
            self._warn(
                'files that are neither videos nor images are not used: '
                f'{shorten(listed)}.'
            )
        kinds = {self.source, 'hollow' if self.source == 'frames' else ''}
        return [clip for clip in found if clip.kind in kinds]

    def _cut(self, clips: Sequence[ClassClip]) -> dict[str, list[SplitRow]]:
        """Rows of each split."""
        splits: dict[str, list[SplitRow]] = {s: [] for s in CUTS}
        labels = {name: i for i, name in enumerate(self.all_classes)}
        for clip in clips:
            row = SplitRow(clip.name, labels[clip.folder.name])
            splits[clip.folder.split or 'train'].append(row)
        groups = self._groups([clip.name for clip in clips])
        for split, ratio in CUTS.items():
            if ratio and not splits[split]:
                splits['train'], splits[split] = hold_out(
                    splits['train'],
                    groups,
                    getattr(self, ratio),
                    self.split_seed,
                )
        sides: dict[str, set[str]] = defaultdict(set)
        for split, rows in splits.items():
            for row in rows:
                sides[groups[row.video_id]].add(split)
        shared = [group for group, side in sides.items() if len(side) > 1]
        if shared:
            self._warn(
                f'{len(shared)} persons are in more than one of the given '
                f'splits: {shorten(shared)}.'
            )
        return splits

    def _groups(self, names: Sequence[str]) -> dict[str, str]:
        """Tell the person of each clip by its name, else the clip itself."""
        pattern = self.group_pattern
        if not pattern:
            return {name: name for name in names}
        try:
            compiled = re.compile(pattern)
        except (re.error, TypeError) as error:
            fail(
                f'group_pattern {pattern!r} is no regular expression: {error}',
                'correct it (--group-pattern)',
                ConfigError,
            )
        if not compiled.groups:
            fail(
                f'group_pattern must have a group, got {pattern!r}',
                r"put parentheses around the person, e.g. '/([^/_]+)_'",
                ConfigError,
            )
        found = {name: compiled.search(name) for name in names}
        groups = {name: match and match[1] for name, match in found.items()}
        gone = [name for name in names if not groups[name]]
        if gone:
            fail(
                f'group_pattern {pattern!r} must find a person in the name of '
                f'every clip of {self.data_root}, got none in {len(gone)} of '
                f'{len(names)}, such as {gone[0]!r}',
                'change it (--group-pattern), or rename these',
                ConfigError,
            )
        return groups

    def _check_filled(self, clips: Sequence[ClassClip], splits: set) -> None:
        """See that there are clips of each split, and class to train on."""
        full = {(clip.folder.split, clip.folder.name) for clip in clips}
        named = sorted(splits - {''} - {split for split, _ in full})
        bare = [f'split {split}' for split in named]
        if splits & {'', 'train'}:  # else a set to be tested alone
            bare += [
                f'class {name}'
                for name in self.all_classes
                if not full & {('', name), ('train', name)}
            ]
        if bare:
            fail(
                f'{self.data_root} must hold {self.source} of each split, '
                'and of each class to train on, got none of '
                f'{", ".join(bare)}',
                'put clips there, or move the folder out',
            )


def find_classes(
    data_root: str,
    classes: Union[str, Sequence[str], None] = None,
    source: str = 'auto',
) -> tuple[list[str], str]:
    """Tell the classes of a folder and what its clips are.

    Configs call it with the arguments of :class:`ClassFolderDataset`, so that
    nobody has to type the number of classes.

    Returns:
        tuple[list[str], str]: The classes and the source. Where there is no
        such folder, which is for the data set to say, ``classes`` as given
        or none.
    """
    if isinstance(classes, str):
        classes = None if classes == 'auto' else classes.split(',')
    wanted = classes and [normalise(str(name).strip()) for name in classes]
    root = os.path.expanduser(data_root)
    if not os.path.isdir(root):
        return wanted or [], 'videos' if source == 'auto' else source
    folders = list_class_folders(root)
    found = order_classes(folders, wanted, root)
    if source == 'auto':
        source = _choose_source(find_class_clips(folders))
    return found, source


def list_class_folders(root: str) -> list[ClassFolder]:
    """List the folders of the classes, naturally sorted."""
    top = _folders(root)
    splits = [entry for entry in top if entry.name.lower() in SPLITS]
    # One alone among others is a class, as `train` is among vehicles.
    if 1 < len(splits) < len(top):
        others = [entry for entry in top if entry not in splits]
        fail(
            f'{root} must hold splits or classes, got the splits '
            f'{_names(splits)} and {_names(others)} beside them',
            'move what is no split out of the folder',
        )
    parts = [('', root)]
    if splits and len(splits) == len(top):
        parts = [(SPLITS[entry.name.lower()], entry.path) for entry in splits]
        if len(dict(parts)) < len(parts):
            fail(
                f'each split must have one folder, got {_names(splits)} in '
                f'{root}',
                'join those that mean the same',
            )
    folders = []
    for split, path in parts:
        found = _folders(path, root)
        if not found:
            fail(
                f'{path} must hold a folder for each class, got none',
                'sort the clips into such folders, or set data_root '
                '(--data-root DIR)',
            )
        folders += [
            ClassFolder(split, normalise(e.name), e.path) for e in found
        ]
    return folders


def order_classes(
    folders: Sequence[ClassFolder], wanted: Optional[list[str]], root: str
) -> list[str]:
    """Order the classes as wanted, or naturally."""
    found = sorted({folder.name for folder in folders}, key=natural_key)
    spelt = Counter(name.lower() for name in found)
    doubles = [name for name in found if spelt[name.lower()] > 1]
    if doubles:
        fail(
            'classes must differ by more than case, got '
            f'{", ".join(doubles)} in {root}',
            'rename one of them',
        )
    if len(found) < 2:
        fail(
            f'{root} must hold the folders of two classes or more, got one, '
            f'{found[0]!r}',
            'set data_root (--data-root DIR) to the folder right above those '
            'of the classes',
        )
    if not wanted:
        return found
    if sorted(wanted) != sorted(found):
        odd = sorted({*wanted} ^ {*found}) or ['one listed twice']
        fail(
            f'classes must be the folders in {root}, which are '
            f'{", ".join(found)}, got {", ".join(wanted)} (unlike: '
            f'{shorten(odd)})',
            'list each once, or leave classes (--classes) out; to train on '
            'some of them set metainfo=dict(classes=...)',
            ConfigError,
        )
    return wanted


def find_class_clips(folders: Sequence[ClassFolder]) -> list[ClassClip]:
    """List all clips, those of each class naturally sorted."""
    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(lambda folder: list(_clips(folder)), folders))
    return [clip for clips in found for clip in clips]


def _choose_source(clips: Sequence[ClassClip]) -> str:
    """Return what the clips are, ``'videos'`` or ``'frames'``."""
    first = {clip.kind: clip.path for clip in reversed(clips)}
    if {'videos', 'frames'} <= first.keys():
        fail(
            'the clips must be all videos or all folders of frames, got '
            f'{first["videos"]} and {first["frames"]}',
            "choose one by source='videos' or 'frames' (--source), or keep "
            'them in two folders',
        )
    return 'frames' if 'frames' in first else 'videos'


def _clips(folder: ClassFolder) -> Iterator[ClassClip]:
    prefix = f'{folder.split}/{folder.name}/'.lstrip('/')
    seen: dict[tuple[bool, str], str] = {}
    for kind, path in _walk(folder.path):
        below = os.path.relpath(path, folder.path).replace(os.sep, '/')
        if kind == 'videos':
            below = os.path.splitext(below)[0]
        name = normalise(prefix + below)
        # Without suffix, so that a video and its face crops are in one split.
        key = kind == 'videos', name.lower()
        if key in seen and kind != 'other':
            fail(
                'clips must differ by more than suffix and case, got '
                f'{seen[key]} and {path}',
                'rename one of them, or remove it if it is a copy',
            )
        seen[key] = path
        yield ClassClip(name, path, kind, folder)


def _walk(path: str) -> Iterator[tuple[str, str]]:
    """Kind and path of each clip; a folder that holds images is one."""
    try:
        for folder in walk(path):
            videos = [e.path for e in folder.files if is_video(e.name)]
            images = any(is_image(e.name) for e in folder.files)
            for video in sorted(videos, key=natural_key):
                yield 'videos', video
            # Right below the class images are thumbnails.
            if images and folder.depth:
                yield 'frames', folder.path
                folder.folders.clear()
            elif not (videos or folder.folders) and folder.depth:
                yield 'hollow', folder.path
            for entry in folder.files:
                if not (is_video(entry.name) or is_image(entry.name)):
                    yield 'other', entry.path
    except DataError as error:
        fail(error.problem, error.cure)


def fail(problem: str, cure: str, kind: type = DataError) -> NoReturn:
    """Raise an error as :class:`ClassFolderDataset` does."""
    raise kind(
        f'ClassFolderDataset: {problem}',
        f'{cure}. Expected tree:\n{EXPECTED_TREE}\n',
    ) from None


def normalise(name: str) -> str:
    """One spelling: macOS takes accents apart from their letters."""
    return unicodedata.normalize('NFC', name)


def _folders(folder: str, root: Optional[str] = None) -> list[os.DirEntry]:
    """Folders that may be classes or splits, none that leads up."""
    chain = [os.path.realpath(path) for path in (root or folder, folder)]
    return [
        entry
        for entry in list_folder(folder).folders
        if not leads_up(os.path.realpath(entry.path), chain)
    ]


def _names(entries: Sequence[os.DirEntry]) -> str:
    return ', '.join(entry.name for entry in entries)
