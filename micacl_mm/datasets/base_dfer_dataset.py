"""What the datasets of dynamic facial expressions have in common."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Optional, Union

from mmaction.datasets.base import BaseActionDataset
from mmaction.utils import ConfigType
from mmengine.logging import print_log

from .clip_finders import FoundClip
from .dfer_checks import DFERChecks
from .folders import find_file, find_folders
from .frame_names import FrameNames
from .layouts import COMPLETE, Layout, choose_layout
from .packs.packed_clips import PackedClips
from .probing import probe_clips
from .splits import SplitRow, cut_validation, describe_counts

DRAWN_MARKER = 'synthetic.json'  # in the root of a set that we drew


class BaseDFERDataset(PackedClips, DFERChecks, BaseActionDataset):
    """Clips of faces, each of one expression.

    A subclass reads its split files (:meth:`read_split`) and names the clips
    on disk (:meth:`find_clips`); here the two are joined, checked against
    the disk and counted. Frames are counted in the folders themselves:
    lists of frame numbers that travel with a set are not believed, and
    nothing is ever written beside the data.

    A sample has ``label``, ``video_id``, ``start_index`` 0 and, by
    ``source``, ``frame_dir``, ``frames``, ``filename_tmpl`` and
    ``total_frames`` for ``RawFrameDecode`` or ``filename`` for
    ``DecordInit``; with ``pack`` also ``pack`` and ``pack_clip`` for
    ``FaceFrameDecode``.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        split (str): ``'train'``, ``'val'`` or ``'test'``. The sets have no
            official validation split: ``'val'`` is a slice of train. Defaults
            to ``'train'``.
        source (str): ``'frames'`` for folders of face crops, ``'videos'`` for
            the clips as files. Defaults to ``'frames'``.
        val_ratio (float): Share of each class that is taken from train and
            given to val. Train and val need the same value. Defaults to 0.
        val_seed (int): Seed of that slice. Defaults to 0.
        missing (str): ``'raise'`` or ``'drop'``, what to do about clips of
            the split file that are absent or empty on disk. With more than
            half of them missing both raise. Defaults to ``'raise'``.
        clip_root (str, optional): Folder of the clips, absolute or below
            ``data_root``, to use instead of a search. Defaults to None.
        pack (str, optional): A file made by ``micacl pack`` to
            read the frames from, see docs/packs.md. The folders stay the
            truth: one that does not fit them is refused. Defaults to None.
        pack_missing (str): ``'raise'`` or ``'folders'``, what to do if there
            is no such file. Defaults to ``'raise'``.
        test_mode (bool): As in MMEngine. Defaults to False.
        **kwargs: Further arguments of ``BaseActionDataset``.

    Attributes:
        layout (str): In words, where the clips were found.

    Raises:
        ValueError: For a wrong argument or a wrong row of a split file.
        FileNotFoundError: For a missing root, split file or clip.
    """

    CLASSES = (
        'Happy',
        'Sad',
        'Neutral',
        'Angry',
        'Surprise',
        'Disgust',
        'Fear',
    )
    METAINFO = {'classes': CLASSES}
    # Official counts by variant (a fold, a subset), then by split.
    OFFICIAL_COUNTS: dict[Union[int, str], dict[str, list[int]]] = {}
    SPLIT_FOLDER = ''
    # By source, what `choose_layout` prefers.
    CLIP_FOLDERS: dict[str, tuple[tuple[str, str], ...]] = {}
    # Name of the attribute that is the key to the official counts.
    VARIANT = ''

    def __init__(
        self,
        data_root: str,
        pipeline: list[Union[ConfigType, Callable]],
        split: str = 'train',
        source: str = 'frames',
        val_ratio: float = 0.0,
        val_seed: int = 0,
        missing: str = 'raise',
        clip_root: Optional[str] = None,
        pack: Optional[str] = None,
        pack_missing: str = 'raise',
        test_mode: bool = False,
        **kwargs,
    ) -> None:
        self.data_root = os.path.expanduser(data_root)
        self.split = split
        self.source = source
        self.val_ratio = val_ratio
        self.val_seed = val_seed
        self.missing = missing
        self.clip_root = clip_root
        self.pack = pack
        self.pack_missing = pack_missing
        self.layout = ''
        self._check_args()
        self._check_pack()
        super().__init__(
            ann_file='',
            pipeline=pipeline,
            data_prefix={},
            data_root=self.data_root,
            test_mode=test_mode,
            start_index=0,
            **kwargs,
        )

    @abstractmethod
    def read_split(self, split: str) -> list[SplitRow]:
        """Read the official ``'train'`` or ``'test'`` rows."""

    @abstractmethod
    def find_clips(self, root: str) -> Iterable[FoundClip]:
        """List the clips on disk, keyed by ``video_id`` in lower case."""

    @property
    def class_counts(self) -> list[int]:
        """Number of loaded clips of each class."""
        labels = [self.get_cat_ids(idx)[0] for idx in range(len(self))]
        return [labels.count(i) for i in range(len(self.metainfo['classes']))]

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of a clip, as a list for ``ClassBalancedDataset``."""
        # Past our own method, which has work to do for the pipeline.
        return [super().get_data_info(idx)['label']]

    def get_data_info(self, idx: int) -> dict:
        """Data of a clip, as the decoding transforms want it."""
        info = super().get_data_info(idx)
        if self.source == 'frames':
            info['filename_tmpl'] = FrameNames(info['frames'])
        if self._opened:
            info['pack'] = self._opened
        return info

    def load_data_list(self) -> list[dict]:
        """Join the split file with the clips on disk."""
        self._check_root()
        official = self.read_split('test' if self.split == 'test' else 'train')
        rows, rest = official, []
        if self.split != 'test' and self.val_ratio:
            rows, rest = cut_validation(rows, self.val_ratio, self.val_seed)
        if self.split == 'val':
            rows, rest = rest, rows
        # By all of them, that train and val take the same copy.
        layout = self._find_layout(official)
        self.layout = layout.text
        infos, gone = probe_clips(rows, layout, self.source)
        self._report_missing(gone, len(rows))
        self._take_pack(infos)
        labels = [info['label'] for info in infos]
        self._log_counts(labels, [row.label for row in rest])
        return infos

    def find_split_file(self, *names: str) -> str:
        """Path of the first split file that exists of those named."""
        for folder in find_folders(self.data_root, self.SPLIT_FOLDER):
            for path in (find_file(folder, name) for name in names):
                if path:
                    return path
        self._raise_not_found(
            f'no split file {self.SPLIT_FOLDER}/{names[-1]} below '
            f'{self.data_root}',
            'unpack the split files of the release there',
        )

    def _find_layout(self, rows: Sequence[SplitRow]) -> Layout:
        wanted = dict.fromkeys(row.video_id.lower() for row in rows)
        layouts = []
        for root, above in self._clip_roots():
            found = self.find_clips(root)
            kinds = self.CLIP_FOLDERS[self.source]
            layouts.append(
                choose_layout(found, root, kinds, wanted, self.source, above)
            )
            if layouts[-1].covered >= COMPLETE * len(wanted):
                break
        best = max(layouts, key=lambda it: (it.covered, bool(it.clips)))
        if not best.clips:
            self._raise_not_found(
                f'no {self.source} of clips {best.text}',
                'unpack the clips there, name their folder by clip_root '
                '(--clip-root DIR), or take the other source of "frames" and '
                '"videos" (--source)',
            )
        return best

    def _clip_roots(self) -> Iterator[tuple[str, str]]:
        """Where to look, and what the folders above have to say."""
        if self.clip_root is None:
            # Other sets may lie below the root: look by the split files.
            folders = find_folders(self.data_root, self.SPLIT_FOLDER)
            roots = chain(map(os.path.dirname, folders), [self.data_root])
            seen: set[str] = set()
            for root in map(os.path.normpath, roots):
                if root not in seen:
                    yield root, ''
                seen.add(root)
            return
        root = os.path.expanduser(self.clip_root)
        root = os.path.normpath(os.path.join(self.data_root, root))
        if not os.path.isdir(root):
            self._raise_not_found(
                f'clip_root {root} does not exist or is no folder',
                'set clip_root (--clip-root DIR) to the folder of the clips',
            )
        yield root, '/'.join(root.split(os.sep)[-2:])

    def _log_counts(self, loaded: list, rest: list) -> None:
        variant = getattr(self, self.VARIANT)
        split = 'test' if self.split == 'test' else 'train'
        official = self.OFFICIAL_COUNTS.get(variant, {}).get(split)
        drawn = os.path.isfile(os.path.join(self.data_root, DRAWN_MARKER))
        if drawn:
            official = None
        counts = describe_counts(self.CLASSES, loaded, rest, official)
        if drawn:
            counts += ' A drawn set, whose counts are its own.'
        print_log(
            f'{type(self).__name__}, {self.VARIANT} {variant}, {self.split}: '
            f'{counts} Found {self.source} in {self.layout}.',
            logger='current',
        )
