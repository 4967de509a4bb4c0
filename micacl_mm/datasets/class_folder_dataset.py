"""Clips in a folder for each class."""

import os
import re
import unicodedata
from collections import Counter
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

from .base import BaseDFERDataset
from .layouts import Layout
from .splits import SplitRow, hold_out, shorten

#: Splits in the order of the cuts, and the argument that says how large.
CUTS = {'train': '', 'test': 'test_ratio', 'val': 'val_ratio'}
#: Names of folders that are given splits, in any case.
SPLITS = dict.fromkeys(('val', 'valid', 'validation'), 'val')
SPLITS |= {'train': 'train', 'test': 'test'}
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
    #: be a clip if it held frames, or the suffix of any other file.
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
        self.group_pattern = group_pattern
        classes, source = find_classes(self.data_root, classes, source)
        self.CLASSES = tuple(classes)
        super().__init__(
            data_root,
            pipeline,
            split=split,
            source=source,
            val_ratio=val_ratio,
            metainfo={'classes': self.CLASSES, **(metainfo or {})},
            **kwargs,
        )
        # Not above: MMEngine takes a text there for the name of a file.
        name = os.path.basename(os.path.abspath(self.data_root))
        self._metainfo.setdefault('dataset_name', f'folder-{name}')

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'``, ``'val'`` or ``'test'``."""
        self._found = self._find()
        return self._cut(self._found)[split]

    def _split_in_two(self) -> tuple[list[SplitRow], list[SplitRow]]:
        rows = self.relabel(self.read_split(self.split))
        labels = {row.label for row in rows}
        classes = enumerate(self.metainfo['classes'])
        bare = [name for label, name in classes if label not in labels]
        if not rows or (bare and self.split == 'train'):
            cure, ratio = f'add {self.source} to it', CUTS[self.split]
            if ratio:
                cure += (
                    f', or set {ratio} (--{ratio.replace("_", "-")}) above 0 '
                    'with at least two clips, or persons, of a class'
                )
            fail(
                f'split {self.split!r} of {self.data_root} must have '
                f'{self.source}, got none of class {", ".join(bare)}',
                cure,
            )
        if bare:
            self._warn(f'{self.split} has no {", ".join(bare)}.')
        return rows, []

    def _find_layout(self) -> Layout:
        clips = {clip.name.lower(): clip.path for clip in self._found}
        self._found = []  # workers need it no more
        text = f'folders of the classes in {self.data_root}'
        return Layout(clips=clips, text=text)

    def _find(self) -> list[ClassClip]:
        """List all clips of the source, empty ones of frames too."""
        found = find_class_clips(list_class_folders(self.data_root))
        kinds = [self.source]
        if self.source == 'frames':
            kinds.append('hollow')
        clips = [clip for clip in found if clip.kind in kinds]
        used = (self.source, 'hollow')
        rest = Counter(clip.kind for clip in found if clip.kind not in used)
        if rest:
            listed = [f'{n} {kind}' for kind, n in rest.items()]
            self._warn(
                f'the clips are {self.source}, not used are {shorten(listed)}.'
            )
        # Without suffix, so that a video and its face crops are in one split.
        names = Counter(clip.name.lower() for clip in clips)
        twice = [c.path for c in clips if names[c.name.lower()] > 1]
        if twice:
            fail(
                'clips must differ by more than suffix and case, got '
                f'{shorten(twice)}',
                'rename them, or remove copies',
            )
        return clips

    def _cut(self, clips: Sequence[ClassClip]) -> dict[str, list[SplitRow]]:
        """Rows of each split."""
        splits: dict[str, list[SplitRow]] = {s: [] for s in CUTS}
        labels = {name: i for i, name in enumerate(self.CLASSES)}
        for clip in clips:
            row = SplitRow(clip.name, labels[clip.folder.name])
            splits[clip.folder.split or 'train'].append(row)
        groups = {clip.name: self.person(clip.name) for clip in clips}
        given = {f.split for f in list_class_folders(self.data_root)}
        for split in sorted(given - {''}):
            if not splits[split]:
                fail(
                    f'split {split!r} of {self.data_root} must have '
                    f'{self.source}, got none',
                    'add some, or remove its folder',
                )
        for split, ratio in CUTS.items():
            if ratio and split not in given:
                splits['train'], splits[split] = hold_out(
                    splits['train'],
                    groups,
                    getattr(self, ratio),
                    self.val_seed,
                )
        people: Counter = Counter()
        for rows in splits.values():
            people.update({groups[row.video_id] for row in rows})
        shared = [person for person, n in people.items() if n > 1]
        if shared:
            self._warn(
                f'{len(shared)} persons are in more than one of the given '
                f'splits: {shorten(shared)}.'
            )
        return splits

    def person(self, video_id: str) -> str:
        """The person in the name of a clip, else the clip itself."""
        if not self.group_pattern:
            return video_id
        try:
            found = re.search(self.group_pattern, video_id)
            if found and found[1]:
                return found[1]
            problem = f'must find a person in {video_id!r}'
        except (re.error, IndexError, TypeError) as error:
            problem = f'must be a regular expression with a group: {error}'
        raise ConfigError(
            f'ClassFolderDataset: group_pattern {self.group_pattern!r} '
            f'{problem}',
            r"put parentheses around the person, e.g. '/([^/_]+)_' "
            '(--group-pattern)',
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
        clips = find_class_clips(folders)
        first = {clip.kind: clip.path for clip in reversed(clips)}
        if {'videos', 'frames'} <= first.keys():
            fail(
                'the clips must be all videos or all folders of frames, got '
                f'{first["videos"]} and {first["frames"]}',
                "choose one by source='videos' or 'frames' (--source), or "
                'keep them in two folders',
            )
        source = 'frames' if 'frames' in first else 'videos'
    return found, source


def list_class_folders(root: str) -> list[ClassFolder]:
    """List the folders of the classes, naturally sorted."""
    top = _folders(root)
    splits = {n: SPLITS[n.lower()] for n in top if n.lower() in SPLITS}
    # One alone among others is a class, as `train` is among vehicles.
    if len(splits) > 1 and (
        len(splits) < len(top) or len({*splits.values()}) < len(splits)
    ):
        fail(
            f'{root} must hold classes, or one folder for each split, got '
            f'{", ".join(top)}',
            'move what is no split out, and join those that mean the same',
        )
    given = splits and len(splits) == len(top)
    parts = {name: top[name] for name in splits} if given else {'': root}
    folders = []
    for part, path in parts.items():
        found = _folders(path)
        if not found:
            fail(
                f'{path} must hold a folder for each class, got none',
                'sort the clips into such folders, or set data_root '
                '(--data-root DIR)',
            )
        for name, place in found.items():
            split = splits.get(part, '')
            folders.append(ClassFolder(split, normalise(name), place))
    return folders


def order_classes(
    folders: Sequence[ClassFolder], wanted: Optional[list[str]], root: str
) -> list[str]:
    """Order the classes as wanted, or naturally."""
    found = sorted({folder.name for folder in folders}, key=natural_key)
    if len({name.lower() for name in found}) < max(2, len(found)):
        fail(
            f'{root} must hold the folders of two classes or more, whose '
            f'names differ by more than case, got {", ".join(found)}',
            'set data_root (--data-root DIR) to the folder right above those '
            'of the classes, or rename them',
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


def _clips(folder: ClassFolder) -> Iterator[ClassClip]:
    prefix = f'{folder.split}/{folder.name}/'.lstrip('/')
    for kind, path in _walk(folder.path):
        below = os.path.relpath(path, folder.path).replace(os.sep, '/')
        if kind == 'videos':
            below = os.path.splitext(below)[0]
        yield ClassClip(normalise(prefix + below), path, kind, folder)


def _walk(path: str) -> Iterator[tuple[str, str]]:
    """Kind and path of each clip; a folder that holds images is one."""
    for folder in walk(path):
        files = sorted(folder.files, key=lambda e: natural_key(e.name))
        videos = [e.path for e in files if is_video(e.name)]
        yield from (('videos', video) for video in videos)
        # Right below the class images are thumbnails.
        if folder.depth and any(is_image(e.name) for e in files):
            yield 'frames', folder.path
            folder.folders.clear()
        elif folder.depth and not (videos or folder.folders):
            yield 'hollow', folder.path
        for entry in files:
            if not (is_video(entry.name) or is_image(entry.name)):
                suffix = os.path.splitext(entry.name)[1].lower()
                yield suffix or 'without suffix', entry.path


def fail(problem: str, cure: str, kind: type = DataError) -> NoReturn:
    """Raise an error as :class:`ClassFolderDataset` does."""
    raise kind(
        f'ClassFolderDataset: {problem}',
        f'{cure}. Expected tree:\n{EXPECTED_TREE}\n',
    ) from None


def normalise(name: str) -> str:
    """One spelling: macOS takes accents apart from their letters."""
    return unicodedata.normalize('NFC', name)


def _folders(path: str) -> dict[str, str]:
    """Name and path of the folders in one, but for links that lead up."""
    chain = [os.path.realpath(path)]
    return {
        entry.name: entry.path
        for entry in list_folder(path).folders
        if not leads_up(os.path.realpath(entry.path), chain)
    }
