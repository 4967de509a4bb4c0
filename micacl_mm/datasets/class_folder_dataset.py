"""Clips in a folder for each class."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, Optional, Union

from mmaction.utils import ConfigType
from mmengine.logging import print_log

from micacl_mm.registry import DATASETS

from .base_dfer_dataset import BaseDFERDataset
from .class_clips import ClassClip, find_class_clips, find_classes, is_clip
from .class_folders import EXPECTED_TREE, list_class_folders
from .class_splits import find_shared, hold_out, name_groups
from .clip_finders import FoundClip
from .dfer_checks import shorten
from .layouts import Layout
from .probing import probe_clips
from .splits import SplitRow, describe_counts

#: Splits in the order of the cuts, and the argument that says how large.
CUTS = {'train': '', 'test': 'test_ratio', 'val': 'val_ratio'}


@DATASETS.register_module()
class ClassFolderDataset(BaseDFERDataset):
    """Your own clips, in a folder for each class.

    The classes are the names of the folders, the labels 0 to K - 1 follow
    their order. Clips are videos or folders of frames, right in the folder
    of a class or in folders below it::

        <data_root>/<class>/<clip>.mp4
        <data_root>/<class>/<clip>/*.jpg
        <data_root>/train/<class>/...    and val, test: splits of your own

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
        missing (str): ``'raise'`` or ``'drop'``, what to do about empty
            clips. Defaults to ``'raise'``.
        test_mode (bool): As in MMEngine. Defaults to False.
        **kwargs: Further arguments of ``BaseActionDataset``.

    Raises:
        ValueError: For a wrong argument, and for a folder that is no set of
            two classes or more; the message says what is wrong.
        FileNotFoundError: For a missing root and for empty clips.

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
        missing: str = 'raise',
        test_mode: bool = False,
        **kwargs,
    ) -> None:
        self.data_root = os.path.expanduser(data_root)
        self._check_choice('source', source, ('auto', 'videos', 'frames'))
        self._check_ratio('test_ratio', test_ratio)
        self._check_root()
        self.test_ratio = test_ratio
        self.split_seed = split_seed
        self.group_pattern = group_pattern
        classes, source = find_classes(self.data_root, classes, source)
        metainfo = dict(kwargs.pop('metainfo', None) or {})
        metainfo['classes'] = tuple(classes)
        super().__init__(
            data_root,
            pipeline,
            split=split,
            source=source,
            val_ratio=val_ratio,
            missing=missing,
            test_mode=test_mode,
            metainfo=metainfo,
            **kwargs,
        )
        # Not above: MMEngine takes a text there for the name of a file.
        name = os.path.basename(os.path.abspath(self.data_root))
        self._metainfo.setdefault('dataset_name', f'folder-{name}')

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'``, ``'val'`` or ``'test'``."""
        return self._cut(self._find())[split]

    def find_clips(self, root: str) -> Iterable[FoundClip]:
        """List the clips on disk, keyed by ``video_id`` in lower case."""
        for clip in self._find(root):
            yield FoundClip(clip.name.lower(), clip.path, clip.folder.path)

    def load_data_list(self) -> list[dict]:
        """Cut the splits and look at each clip of this one."""
        clips = self._find()
        splits = self._cut(clips)
        rows = splits[self.split]
        if not rows:
            self._raise_no_clips()
        self.layout = f'folders of the classes in {self.data_root}'
        paths = {clip.name.lower(): clip.path for clip in clips}
        layout = Layout(paths, len(rows), self.layout)
        infos, gone = probe_clips(rows, layout, self.source)
        self._report_missing(gone, len(rows))
        self._take_pack(infos)
        given = any(clip.folder.split == self.split for clip in clips)
        self._log_labels([info['label'] for info in infos], given)
        return infos

    def _find(self, root: Optional[str] = None) -> list[ClassClip]:
        """List all clips of the source, empty ones of frames too."""
        folders = list_class_folders(root or self.data_root)
        found = find_class_clips(folders)
        own = [clip for clip in found if clip.kind == self.source]
        self._check_filled(own, {folder.split for folder in folders})
        other = sum(map(is_clip, found)) - len(own)
        if other:
            self._warn(f'{other} clips are no {self.source} and left aside.')
        if self.source == 'frames':
            own = [clip for clip in found if clip.kind != 'videos']
        return own

    def _cut(self, clips: Sequence[ClassClip]) -> dict[str, list[SplitRow]]:
        """Rows of each split."""
        splits: dict[str, list[SplitRow]] = {s: [] for s in CUTS}
        labels = {name: i for i, name in enumerate(self.metainfo['classes'])}
        for clip in clips:
            row = SplitRow(clip.name, labels[clip.folder.name])
            splits[clip.folder.split or 'train'].append(row)
        names = [clip.name for clip in clips]
        groups = name_groups(names, self.group_pattern or '', self.data_root)
        for split, ratio in CUTS.items():
            if ratio and not splits[split]:
                splits['train'], splits[split] = hold_out(
                    splits['train'],
                    groups,
                    getattr(self, ratio),
                    self.split_seed,
                )
        shared = find_shared(splits, groups)
        if shared:
            self._warn(
                f'{len(shared)} persons are in more than one of the given '
                f'splits: {shorten(shared)}.'
            )
        return splits

    def _warn(self, text: str) -> None:
        print_log(
            f'{type(self).__name__}: {text}',
            logger='current',
            level=logging.WARNING,
        )

    def _check_has_val(self) -> None:
        """A folder may hold it, which is seen later."""

    def _check_filled(self, clips: Sequence[ClassClip], splits: set) -> None:
        """See that there are clips of each split, and class to train on."""
        full = {(clip.folder.split, clip.folder.name) for clip in clips}
        named = sorted(splits - {''} - {split for split, _ in full})
        bare = [f'split {split}' for split in named]
        if splits & {'', 'train'}:  # else a set to be tested alone
            bare += [
                f'class {name}'
                for name in self.metainfo['classes']
                if not full & {('', name), ('train', name)}
            ]
        if bare:
            self._raise(
                ValueError,
                f'{self.data_root} must hold {self.source} of each split, '
                'and of each class to train on, got none of '
                f'{", ".join(bare)}',
                'put clips there, or move the folder out',
            )

    def _raise_no_clips(self) -> NoReturn:
        cure, ratio = f'add a folder {self.split}', CUTS[self.split]
        if ratio:
            cure += (
                f', or set {ratio} (--{ratio.replace("_", "-")}) above 0 and '
                'have two clips, or persons, of a class to be parted'
            )
        self._raise(
            ValueError,
            f'there must be a clip for split {self.split!r} in '
            f'{self.data_root}, got none',
            cure,
        )

    def _log_labels(self, labels: Sequence[int], given: bool) -> None:
        """Log the clips of each class and how unequal they are."""
        classes = self.metainfo['classes']
        counts = [labels.count(i) for i in range(len(classes))]
        ratio = max(counts) / min(k for k in counts if k)
        print_log(
            f'{type(self).__name__}, {self.split}: '
            f'{describe_counts(classes, labels, [], None)} Imbalance '
            f'{ratio:.1f} : 1. Found {self.source} in {self.layout}.',
            logger='current',
        )
        bare = [n for n, k in zip(classes, counts, strict=True) if not k]
        if bare:
            why = '' if given else ': a single clip or person stays in train'
            self._warn(f'{self.split} has no {", ".join(bare)}{why}.')
