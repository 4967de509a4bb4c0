"""What the datasets of dynamic facial expressions have in common."""

import csv
import logging
import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from numbers import Real
from typing import NoReturn, Optional, Union

from mmaction.datasets.base import BaseActionDataset
from mmaction.utils import ConfigType
from mmengine.logging import print_log

from micacl_mm.errors import (
    ConfigError,
    DataError,
    MissingFileError,
    check_choice,
)
from micacl_mm.utils.files import DRAWN_MARKER
from micacl_mm.utils.folders import walk

from .layouts import (
    COMPLETE,
    FoundClip,
    FrameNames,
    Layout,
    choose_layout,
    find_folders,
    find_named_clips,
    probe_clip,
)
from .pack import FramePack
from .splits import RESTORE, SplitRow, hold_out, read_lines, shorten

_LISTED = re.compile(r'"?([^"]+?)"?[\s,]+\d+[\s,]+(\d{1,2})')


class BaseDFERDataset(BaseActionDataset):
    """Clips of faces, each of one expression.

    A subclass reads its split files (:meth:`read_split`) and names the clips
    on disk (:meth:`find_clips`); here the two are joined, checked against
    the disk and counted. Frame counts that travel with a set are not trusted,
    and nothing is ever written beside the data. Images whose names tell that
    they belong elsewhere are left out with a warning.

    A sample has ``label``, ``video_id``, ``start_index`` 0 and, by
    ``source``, ``frame_dir``, ``frames``, ``filename_tmpl`` and
    ``total_frames`` for ``RawFrameDecode`` or ``filename`` for
    ``DecordInit``; with ``pack`` also ``pack`` and ``pack_clip`` for
    ``FaceFrameDecode``.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        fold (int): From 1, of sets that have folds. Defaults to 1.
        split (str): ``'train'``, ``'val'`` or ``'test'``. Where a set has no
            official validation split, ``'val'`` is a slice of train.
            Defaults to ``'train'``.
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
        pack (str, optional): A file made by ``micacl pack`` to read
            the frames from, see docs/data.md. Defaults to None.
        ann_file (str): A list to use instead of the official split file, with
            its rows or with ``<path> <frames> <label from 0>``, as other code
            lists clips; the numbers of frames are not used. Defaults to ''.
        metainfo (dict, optional): ``dict(classes=...)`` orders the classes
            anew, and the labels with them; clips of classes that are not
            named are left out. Defaults to None.
        **kwargs: Further arguments of ``BaseActionDataset``.

    Attributes:
        layout (str): In words, where the clips were found.
        copy (str): Folder below the root whose clips are used. It is chosen
            by the clips of train and test together.
        foreign (dict[str, list[str]]): By clip the images left out.

    Raises:
        ConfigError: For a wrong argument.
        DataError: For a wrong row of a split file.
        MissingFileError: For a missing root, split file or clip.
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
    # Clips of train and test together, where no more than that is known.
    OFFICIAL_TOTAL = 0
    # Where training clips are left out on purpose, how unequal classes are.
    imbalance: Optional[float] = None
    SPLIT_FOLDER = ''
    # Official splits.
    SPLITS: tuple[str, ...] = ('train', 'test')
    FOLDS: Sequence[int] = ()
    # By source, what `choose_layout` prefers.
    CLIP_FOLDERS: dict[str, tuple[tuple[str, str], ...]] = {
        'frames': (
            ('face crops', 'face|crop'),
            ('frames in a folder of another name', ''),
        ),
        'videos': (('videos', ''),),
    }
    # Name of the attribute that is the key to the official counts.
    VARIANT = ''
    # Pattern of a clip's name.
    CLIP_NAME = r'\d+'
    # Pattern of the last folders that are no copies but parts of one.
    PART = '(?!)'
    # Row of a split file for a clip in a list of other code.
    ROW = ''
    # Whether 12_7.jpg is a frame of clip 12 and of no other.
    NUMBERED_FRAMES = False
    EXPECTED_TREE = ''
    ROOT_CURE = 'set data_root (--data-root) or clip_root (--clip-root DIR)'

    def __init__(
        self,
        data_root: str,
        pipeline: list[Union[ConfigType, Callable]],
        fold: Union[int, str] = 1,
        split: str = 'train',
        source: str = 'frames',
        val_ratio: float = 0.0,
        val_seed: int = 0,
        missing: str = 'raise',
        clip_root: Optional[str] = None,
        pack: Optional[str] = None,
        ann_file: str = '',
        **kwargs,
    ) -> None:
        self.data_root = os.path.expanduser(data_root)
        name = type(self).__name__
        # An environment variable in a config arrives as text.
        folds = tuple(map(str, self.FOLDS or (1,)))
        check_choice(name, folds, fold=str(fold))
        if self.FOLDS:
            self.fold = int(fold)
        self.split = split
        self.source = source
        self.val_ratio = val_ratio
        self.val_seed = val_seed
        self.missing = missing
        self.clip_root = clip_root
        self.pack = pack
        self.list_file = os.path.expanduser(ann_file)
        self.layout = self.copy = ''
        self.listed = 0
        self.foreign: dict[str, list[str]] = {}
        self._opened: Optional[FramePack] = None
        check_choice(name, ('train', 'val', 'test'), split=split)
        check_choice(name, ('frames', 'videos'), source=source)
        check_choice(name, ('raise', 'drop'), missing=missing)
        self._check_ratio('val_ratio', val_ratio)
        if pack and source == 'videos':
            raise ConfigError(
                f"{name}: a pack needs source='frames', got source='videos' "
                f'and pack {pack}',
                'leave one of --source and --pack out',
            )
        super().__init__(
            ann_file='',
            pipeline=pipeline,
            data_prefix={},
            data_root=self.data_root,
            start_index=0,
            **kwargs,
        )

    @abstractmethod
    def read_split(self, split: str) -> list[SplitRow]:
        """Read the official ``'train'`` or ``'test'`` rows."""

    def find_clips(self, root: str, source: str = '') -> Iterable[FoundClip]:
        """List the clips on disk, keyed by ``video_id`` in lower case."""
        source = source or self.source
        return find_named_clips(root, source, self.CLIP_NAME, self.PART)

    def parse_row(self, line: str) -> SplitRow:
        """Read one row; a ``ValueError`` says what is wrong about it."""
        raise NotImplementedError

    def person(self, video_id: str) -> str:
        """Who is shown; where that is not known, the clip itself."""
        return video_id

    def notes(self) -> str:
        """What the log says behind the counts."""
        return ''

    @property
    def is_drawn(self) -> bool:
        """Whether the set is one that we drew."""
        return os.path.isfile(os.path.join(self.data_root, DRAWN_MARKER))

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
        rows, rest = self._split_in_two()
        layout = self._find_layout()
        self.copy = layout.copy
        infos = self.take_clips(rows, layout.clips, layout.text)
        labels = [info['label'] for info in infos]
        self._log_counts(labels, [row.label for row in rest])
        return infos

    def split_rows(self) -> list[SplitRow]:
        """Clips of the split and their labels, on disk or not."""
        return self._split_in_two()[0]

    def _split_in_two(self) -> tuple[list[SplitRow], list[SplitRow]]:
        """Rows of the split, and those on the other side of the slice."""
        if self.split == 'val' and not self.val_ratio:
            raise ConfigError(
                f"{type(self).__name__}: split='val' needs val_ratio above "
                '0, since the set has no validation split',
                "set the same val_ratio, e.g. 0.1, here and for split='train'",
            )
        official = 'test' if self.split == 'test' else 'train'
        rows, rest = self._read(official), []
        if official == 'train' and self.val_ratio:
            persons = {r.video_id: self.person(r.video_id) for r in rows}
            whole = len(rows)
            rows, rest = hold_out(rows, persons, self.val_ratio, self.val_seed)
            if not rest:
                raise ConfigError(
                    f'{type(self).__name__}: a validation slice needs a '
                    f'class of at least two clips, got {whole} clips',
                    'set val_ratio=0',
                )
        if self.split == 'val':
            rows, rest = rest, rows
        return self.relabel(rows), self.relabel(rest)

    def _read(self, split: str) -> list[SplitRow]:
        """Official rows, or those of the list that replaces them."""
        listed = 'test' if self.split == 'test' else 'train'
        if self.list_file and split == listed:
            return self.read_rows(self.list_file)
        return self.read_split(split)

    def take_clips(
        self, rows: Sequence[SplitRow], clips: dict[str, str], layout: str
    ) -> list[dict]:
        """Look the clips of the split up."""
        self.layout = layout

        def probe(row: SplitRow) -> dict:
            path = clips.get(row.video_id.lower())
            return probe_clip(row, path, self.source, self.NUMBERED_FRAMES)

        # Threads, since the time goes into waiting for a network disk.
        with ThreadPoolExecutor(max_workers=16) as pool:
            infos = list(pool.map(probe, rows))
        missing = [info['wrong'] for info in infos if 'wrong' in info]
        infos = [info for info in infos if 'wrong' not in info]
        self.foreign = {
            info['video_id']: names
            for info in infos
            if (names := info.pop('foreign', None))
        }
        if self.foreign:
            total = sum(map(len, self.foreign.values()))
            named = [
                f'{clip} ({shorten(names, 3)})'
                for clip, names in self.foreign.items()
            ]
            self._warn(
                f'{total} images in {len(named)} clips are not used, since '
                f'they are not named like the frames of their clip: '
                f'{shorten(named)}.'
            )
        self._report_missing(missing, len(rows))
        if self.pack and infos:
            self._take_pack(infos)
        return infos

    def relabel(self, rows: Sequence[SplitRow]) -> list[SplitRow]:
        """Rows of the classes in ``metainfo``, labelled in their order."""
        classes = list(self.metainfo['classes'])
        if not {*classes} <= {*self.CLASSES} or len({*classes}) < len(classes):
            raise ConfigError(
                f'{type(self).__name__}: classes in metainfo must be some of '
                f'{", ".join(self.CLASSES)}, got {", ".join(classes)}',
                'name each class once',
            )
        labels = {self.CLASSES.index(n): i for i, n in enumerate(classes)}
        return [
            row._replace(label=labels[row.label])
            for row in rows
            if row.label in labels
        ]

    def find_split_file(self, *names: str, pattern: str = '(?!)') -> str:
        """Path of the first split file that exists of those named.

        In any case; else of one whose path below the folder of the split
        files matches a pattern.
        """
        there: dict[str, str] = {}  # by the path below that folder
        for top in find_folders(self.data_root, self.SPLIT_FOLDER):
            for entry in (e for f in walk(top, 3) for e in f.files):
                if entry.name.lower().endswith(('.csv', '.txt')):
                    below = os.path.relpath(entry.path, top)
                    there.setdefault(below.replace(os.sep, '/'), entry.path)
        for wanted in (*map(re.escape, names), pattern):
            for below, path in there.items():
                if re.fullmatch(wanted, below, re.IGNORECASE):
                    return path
        others = [os.path.relpath(p, self.data_root) for p in there.values()]
        self._fail(
            MissingFileError,
            f'no split file {self.SPLIT_FOLDER}/{names[-1]} below '
            f'{self.data_root}'
            + (f', but {shorten(sorted(others), 4)}' if others else ''),
            'unpack the split files of the release there, or rename these',
        )

    def read_lines(self, path: str) -> list[tuple[int, str]]:
        """Number and text of the rows of a split file."""
        try:
            return read_lines(path)
        except ValueError as error:
            self._fail(DataError, f'{path}: {error}', RESTORE)

    def read_rows(self, path: str) -> list[SplitRow]:
        """Read a split file, in which each clip may have one row.

        The first line may be a header, which has no digit.
        """
        rows: list[SplitRow] = []
        places: dict[str, int] = {}
        lines, number = self.read_lines(path), 0
        try:
            if not lines:
                raise ValueError('must list at least one clip, got none')
            for number, line in lines:
                found = _LISTED.fullmatch(line) if self.list_file else None
                if found and int(found[2]) < len(self.CLASSES):
                    parts, label = re.split(r'[\\/]', found[1]), int(found[2])
                    line = self.ROW.format(
                        name=parts[-1],
                        path='/'.join(parts[-3:]),
                        code=label + 1,
                        emotion=self.CLASSES[label],
                    )
                rows.append(self.parse_row(line))
                first = places.setdefault(rows[-1].video_id.lower(), number)
                if first != number:
                    raise ValueError(
                        f'each clip must be listed once, got '
                        f'{rows[-1].video_id} in line {first} too'
                    )
        except (ValueError, csv.Error) as error:
            where = f'{path}, line {number}' if number else path
            self._fail(DataError, f'{where}: {str(error)[:500]}', RESTORE)
        return rows

    def _find_layout(self) -> Layout:
        # By train and test: every split and fold takes the same copy.
        rows: list[SplitRow] = []
        for split in self.SPLITS:
            with suppress(OSError, ValueError):  # reported where it is needed
                rows += self._read(split)
        wanted = dict.fromkeys(row.video_id.lower() for row in rows)
        self.listed = len(wanted)
        kinds, named = self.CLIP_FOLDERS[self.source], self.clip_root
        layouts = []
        for root in self._clip_roots():
            clips = self.find_clips(root)
            layouts.append(
                choose_layout(clips, root, kinds, wanted, self.source, named)
            )
            if layouts[-1].covered >= COMPLETE * len(wanted):
                break
        best = max(layouts, key=lambda it: (it.covered, bool(it.clips)))
        if not best.clips:
            self._fail(
                MissingFileError,
                f'no {self.source} of clips {best.text}',
                'unpack the clips there, name their folder by clip_root '
                '(--clip-root DIR), or use the other source of "frames" and '
                '"videos" (--source)',
            )
        return best

    def _clip_roots(self) -> Iterator[str]:
        """Where to look."""
        if self.clip_root is None:
            # Other sets may lie below the root: look by the split files.
            name = self.SPLIT_FOLDER
            folders = find_folders(self.data_root, name) if name else ()
            roots = chain(map(os.path.dirname, folders), [self.data_root])
            yield from dict.fromkeys(map(os.path.normpath, roots))
            return
        root = os.path.expanduser(self.clip_root)
        root = os.path.normpath(os.path.join(self.data_root, root))
        if not os.path.isdir(root):
            self._fail(
                MissingFileError,
                f'clip_root {root} does not exist or is no folder',
                'set clip_root (--clip-root DIR) to the folder of the clips',
            )
        yield root

    def _take_pack(self, infos: Sequence[dict]) -> None:
        """Note the clips' places in the pack, which must be read."""
        steps = self.pipeline.transforms
        if steps and not any(getattr(s, 'reads_packs', False) for s in steps):
            raise ConfigError(
                f'{type(self).__name__}: no transform of the pipeline reads '
                f'pack {self.pack}',
                'decode by FaceFrameDecode instead of RawFrameDecode, or '
                'leave the pack out',
            )
        self._opened = FramePack(self.pack)
        clips = {
            info['frame_dir']: [
                *info['frames'],
                *self.foreign.get(info['video_id'], ()),
            ]
            for info in infos
        }
        places = self._opened.match(clips)
        for info in infos:
            info['pack_clip'] = places[info['frame_dir']]
        self._log(f'frames are read from pack {self._opened.path}.')

    def _log_counts(self, loaded: list, rest: list) -> None:
        """Say how many clips of each class there are, and should be."""
        variant = getattr(self, self.VARIANT or '_', 'all')
        place = f', {self.VARIANT} {variant}' if self.VARIANT else ''
        split = 'test' if self.split == 'test' else 'train'
        official = self.OFFICIAL_COUNTS.get(variant, {}).get(split)
        classes = self.metainfo['classes']
        counts, whole = Counter(loaded), Counter([*loaded, *rest])
        listed = [f'{name} {counts[i]}' for i, name in enumerate(classes)]
        text = f'{len(loaded)} clips ({", ".join(listed)}).'
        if counts:
            ratio = max(counts.values()) / min(counts.values())
            text += f' Imbalance {ratio:.1f} : 1.'
        if rest:
            text += f' {len(rest)} more of train are in the other part.'
        if self.is_drawn:
            text += ' Synthetic set: no official counts.'
        elif official:
            published = [official[self.CLASSES.index(n)] for n in classes]
            differing = [
                f'{name} {whole[i]} instead of {published[i]}'
                for i, name in enumerate(classes)
                if whole[i] != published[i]
            ]
            text += (
                f' Differs from the official counts: {", ".join(differing)}.'
                if differing
                else ' The official counts are met.'
            )
        elif self.OFFICIAL_TOTAL not in (0, self.listed):
            text += (
                f' {self.listed} clips are listed, {self.OFFICIAL_TOTAL} in '
                'the official set.'
            )
        self._log(
            f'{text} Found {self.source} in {self.layout}.{self.notes()}',
            f'{place}, {self.split}',
        )

    def _check_ratio(self, name: str, value: object) -> None:
        # A config's environment variable in quotes arrives as text.
        if not isinstance(value, Real) or not 0 <= value < 1:
            raise ConfigError(
                f'{type(self).__name__}: {name} must be in [0, 1), got '
                f'{value!r}',
                'use 0.1 to hold out 10 % of each class',
            )

    def _check_root(self) -> None:
        if not os.path.isdir(self.data_root):
            self._fail(
                MissingFileError,
                f'data_root {self.data_root} does not exist or is no folder',
                'set data_root (--data-root DIR)',
            )

    def _report_missing(self, gone: list[str], total: int) -> None:
        if not gone:
            return
        most = 2 * len(gone) > total
        drop = self.missing == 'drop' and not most
        text = f'{len(gone)} of {total} clips are missing'
        end = " Dropped by missing='drop'." if drop else ''
        self._warn(f'{text}: {", ".join(gone)}.{end}')
        if drop:
            return
        cure = "unpack them again, or set missing='drop' (--missing drop)"
        if most:
            text += ' (more than half, so probably a wrong folder)'
            cure = self.ROOT_CURE
        self._fail(
            MissingFileError,
            f'{text}: {shorten(gone)}; the log names all of them; the clips '
            f'were taken from {self.layout}',
            cure,
        )

    def _log(
        self, text: str, place: str = '', level: int = logging.INFO
    ) -> None:
        text = f'{type(self).__name__}{place}: {text}'
        print_log(text, logger='current', level=level)

    def _warn(self, text: str) -> None:
        self._log(text, level=logging.WARNING)

    def _fail(self, kind: type, problem: str, cure: str) -> NoReturn:
        if kind is MissingFileError:  # or there, and closed to us
            barred = [
                folder.path
                for folder in walk(self.data_root, 2)
                if isinstance(folder.error, PermissionError)
            ]
            if barred:
                raise DataError(
                    f'{type(self).__name__}: permission denied to read '
                    f'{shorten(barred, 3)}',
                    'make it readable, such as by chmod -R u+rX',
                ) from None
        # `from None`: the message is the whole story.
        raise kind(
            f'{type(self).__name__}: {problem}',
            f'{cure}. Expected tree:\n{self.EXPECTED_TREE}\n',
        ) from None
