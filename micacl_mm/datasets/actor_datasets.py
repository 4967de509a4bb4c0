"""Sets of actors whose file names tell person and emotion."""

import hashlib
import re
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from numbers import Real
from typing import Optional, Union

from micacl_mm.errors import ConfigError
from micacl_mm.registry import DATASETS

from .base import BaseDFERDataset
from .splits import SplitRow, hash_name, without_suffix


class BaseActorDataset(BaseDFERDataset):
    """Clips of actors, tested on persons that were not trained on.

    There are no split files: the clips of the release are known by a rule,
    and a fold tests a range of consecutive actors. The validation slice
    consists of whole actors too. A drawn set has the clips that are there.
    """

    VARIANT = 'fold'
    ROW = '{name}'
    #: What parts the fields of a name; the third is the emotion.
    SEPARATOR = ''
    #: Which field is the actor.
    ACTOR_FIELD = 0
    #: Codes of the emotions in the names, in the order of the classes.
    CODES: tuple[str, ...] = ()
    #: Actors tested in each fold.
    ACTORS: dict[int, Sequence[int]] = {}
    #: Clips that the release says are damaged; they are left out.
    BROKEN: frozenset = frozenset()

    @classmethod
    @abstractmethod
    def release(cls) -> list[str]:
        """Names of all clips of the release, without suffix."""

    @classmethod
    def person(cls, video_id: str) -> str:
        """The actor of a clip."""
        return video_id.split(cls.SEPARATOR)[cls.ACTOR_FIELD]

    @classmethod
    def row_of(cls, name: str) -> SplitRow:
        """A clip and its label, by its name."""
        return SplitRow(name, cls.CODES.index(name.split(cls.SEPARATOR)[2]))

    @classmethod
    def fold_rows(
        cls, names: Iterable[str], fold: int, split: str
    ) -> list[SplitRow]:
        """Rows of the clips that a fold trains or tests."""
        return [
            cls.row_of(name)
            for name in names
            if (int(cls.person(name)) in cls.ACTORS[fold]) == (split == 'test')
            and name not in cls.BROKEN
        ]

    @classmethod
    def official_counts(cls) -> dict[int, dict[str, list[int]]]:
        """Clips of each class by fold and split."""
        names, counts = cls.release(), defaultdict(dict)
        for fold, split in product(cls.ACTORS, ('train', 'test')):
            rows = cls.fold_rows(names, fold, split)
            counts[fold][split] = count_labels(rows, len(cls.CODES))
        return dict(counts)

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'`` or ``'test'``."""
        names = self.release()
        if self.is_drawn:
            there = {
                clip.key
                for source in self.CLIP_FOLDERS
                for clip in self.find_clips(self.data_root, source)
            }
            names = [name for name in names if name.lower() in there]
        return self.fold_rows(names, self.fold, split)

    def notes(self) -> str:
        """Name the damaged clips."""
        if not self.BROKEN:
            return ''
        names = ', '.join(sorted(self.BROKEN))
        return f' Damaged in the release and left out: {names}.'

    def parse_row(self, line: str) -> SplitRow:
        """Read the name of a clip."""
        name = without_suffix(line.strip('" '))
        if not re.fullmatch(self.CLIP_NAME, name):
            raise ValueError(
                f'a row must be a clip such as {self.release()[0]!r}, got '
                f'{line!r}'
            )
        return self.row_of(name)


def count_labels(rows: Iterable[SplitRow], classes: int) -> list[int]:
    """Clips of each class."""
    counts = Counter(row.label for row in rows)
    return [counts[label] for label in range(classes)]


_SENTENCES = (
    *('IEO', 'TIE', 'IOM', 'IWW', 'TAI', 'MTI'),
    *('IWL', 'ITH', 'DFA', 'ITS', 'TSI', 'WSI'),
)
#: Never recorded: an emotion, or all of a sentence.
_ABSENT = ('1002_TIE_NEU', '1008_WSI', '1009_MTI', '1019_ITH', '1076_ITS_NEU')
#: Version of the rule that makes the long-tailed lists.
TAIL_VERSION = 1
#: Training clips of DFEW's most frequent class for one of its rarest.
IMBALANCE = 18.4
#: From most to fewest clips, as in DFEW.
TAIL_ORDER = ('Neutral', 'Happy', 'Angry', 'Sad', 'Fear', 'Disgust')
#: SHA-256 of the training list of each fold under these three.
TAIL_CHECKSUMS = {
    1: '0ba9df6122f19afc63a12e08389811c53ee9884a02b8c84d58da634959d15297',
    2: '227256b82b14846299a1f355028f17e9c67956578a21c76459b27d8402d0a7bf',
    3: '3f72ef6631ddd9868767e7480bb3f36800dc702b155640e5403e68fd21e74efa',
    4: 'c4f3d000bd1dca6890016e91b15119ab41e16a8fefd2003340acf019224bbeab',
    5: '9084c29dbac2721c1bb0ba89d254e8e0e906df504dcb1f4258f3b74911f2ce3b',
}


@DATASETS.register_module()
class CREMADDataset(BaseActorDataset):
    r"""`CREMA-D <https://github.com/CheyneyComputerScience/CREMA-D>`_.

    7,438 usable clips of 91 actors in the five folds by actor of `HiCMAE
    <https://github.com/sunlicai/HiCMAE>`_. Labels follow the set's codes in
    the order of the alphabet.

    With ``imbalance`` the training clips become CREMA-D-LT: the class of rank
    :math:`k` of :math:`K` in ``tail_order`` keeps :math:`n r^{-k / (K - 1)}`
    clips, :math:`n` being the smallest class of the fold, so that every order
    has the same counts. They are spread evenly over the actors and chosen by
    a hash of version, seed and name: the list is the same everywhere, and a
    larger imbalance takes a part of a smaller one. The test clips stay.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        imbalance (float, optional): Training clips of the most frequent class
            for one of the rarest. Defaults to None, all clips.
        tail_order (str | Sequence[str], optional): All classes from the most
            frequent to the rarest, as a list or with commas. Defaults to
            None, DFEW's order.
        tail_seed (int): Another seed keeps other clips. Defaults to 0.
        **kwargs: Arguments of :class:`BaseDFERDataset`.
    """

    CLASSES = ('Angry', 'Disgust', 'Fear', 'Happy', 'Neutral', 'Sad')
    METAINFO = {'dataset_name': 'CREMAD', 'classes': CLASSES}
    CODES = ('ANG', 'DIS', 'FEA', 'HAP', 'NEU', 'SAD')
    CLIP_NAME = rf'10\d\d_[A-Z]{{3}}_({"|".join(CODES)})_(XX|LO|MD|HI)'
    SEPARATOR = '_'
    FOLDS = range(1, 6)
    ACTORS = {
        1: range(1001, 1019),
        2: range(1019, 1037),
        3: range(1037, 1055),
        4: range(1055, 1073),
        5: range(1073, 1092),
    }
    BROKEN = frozenset(
        (
            *('1064_IEO_DIS_MD', '1064_TIE_SAD_XX'),
            *('1076_MTI_NEU_XX', '1076_MTI_SAD_XX'),
        )
    )
    CLIP_FOLDERS = {
        **BaseActorDataset.CLIP_FOLDERS,
        'videos': (('videos of the release', 'VideoFlash'), ('videos', '')),
    }
    EXPECTED_TREE = """\
<data_root>/
  VideoFlash/1001_DFA_ANG_XX.flv ..        (source='videos')
  faces/1001_DFA_ANG_XX/*.jpg ..           (source='frames')
Download: github.com/CheyneyComputerScience/CREMA-D (git lfs)"""

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        *args,
        imbalance: Optional[float] = None,
        tail_order: Union[str, Sequence[str], None] = None,
        tail_seed: int = 0,
        **kwargs,
    ) -> None:
        if isinstance(tail_order, str):
            tail_order = tail_order.split(',')
        self.tail_order = tuple(tail_order or TAIL_ORDER)
        if sorted(self.tail_order) != sorted(self.CLASSES):
            raise ConfigError(
                f'CREMADDataset: tail_order must name each of '
                f'{", ".join(self.CLASSES)} once, got '
                f'{", ".join(map(str, self.tail_order))}',
                'order all of them, from most to fewest (--tail-order)',
            )
        if imbalance is not None and not (
            isinstance(imbalance, Real) and 1 <= imbalance < float('inf')
        ):
            raise ConfigError(
                f'CREMADDataset: imbalance must be 1 or more, got '
                f'{imbalance!r}',
                f'use {IMBALANCE}, that of DFEW (--imbalance)',
            )
        self.imbalance = imbalance
        self.tail_seed = tail_seed
        if imbalance is not None:
            self.OFFICIAL_COUNTS = {
                fold: {**counts, 'train': self._kept(counts['train'])}
                for fold, counts in type(self).OFFICIAL_COUNTS.items()
            }
        super().__init__(data_root, pipeline, *args, **kwargs)
        if imbalance is not None:
            self._metainfo['dataset_name'] = 'CREMAD_LT'
            usual = (IMBALANCE, TAIL_ORDER, 0)
            if (imbalance, self.tail_order, tail_seed) != usual:
                order = ''.join(name[0] for name in self.tail_order)
                self._metainfo['dataset_name'] += (
                    f'-{imbalance:g}-{order}-{tail_seed}'
                )

    @classmethod
    def release(cls) -> list[str]:
        """Names of the 7,442 clips; IEO is spoken at three levels."""
        return [
            f'{actor}_{sentence}_{code}_{level}'
            for actor in range(1001, 1092)
            for sentence in _SENTENCES
            for code in cls.CODES
            for level in (
                ('LO', 'MD', 'HI')
                if sentence == 'IEO' and code != 'NEU'
                else ('XX',)
            )
            if not f'{actor}_{sentence}_{code}'.startswith(_ABSENT)
        ]

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'``, perhaps thinned, or ``'test'``."""
        rows = super().read_split(split)
        if self.imbalance is None or split == 'test':
            return rows
        counts = count_labels(rows, len(self.CLASSES))
        kept: set[str] = set()
        for label, count in enumerate(self._kept(counts)):
            names = [row.video_id for row in rows if row.label == label]
            kept.update(self._spread(names)[:count])
        return [row for row in rows if row.video_id in kept]

    def _kept(self, counts: Sequence[int]) -> list[int]:
        """How many clips of each class stay."""
        ranks = [self.tail_order.index(name) for name in self.CLASSES]
        steps = len(self.CLASSES) - 1
        return [
            min(n, max(1, round(min(counts) * self.imbalance ** (-k / steps))))
            for n, k in zip(counts, ranks, strict=True)
        ]

    def _spread(self, names: Sequence[str]) -> list[str]:
        """Order clips by chance, one of each actor before the second."""
        places: dict[str, int] = {}
        turns: Counter = Counter()
        lots = {
            name: hash_name(f'{TAIL_VERSION}/{self.tail_seed}/{name}')
            for name in names
        }
        for name in sorted(names, key=lots.get):
            places[name] = turns[self.person(name)]
            turns[self.person(name)] += 1
        return sorted(names, key=lambda name: (places[name], lots[name]))

    def notes(self) -> str:
        """Name the damaged clips, and tell the long-tailed list."""
        text = super().notes()
        if self.imbalance is not None:
            text += (
                f' Long-tailed list version {TAIL_VERSION}, imbalance '
                f'{self.imbalance:g} : 1, seed {self.tail_seed}, '
                f'{" > ".join(self.tail_order)}; SHA-256 '
                f'{list_checksum(self.read_split("train"))}.'
            )
        return text


def list_checksum(rows: Sequence[SplitRow]) -> str:
    """SHA-256 of the sorted names, one a line."""
    text = ''.join(
        f'{name}\n' for name in sorted(row.video_id for row in rows)
    )
    return hashlib.sha256(text.encode()).hexdigest()


CREMADDataset.OFFICIAL_COUNTS = CREMADDataset.official_counts()


@DATASETS.register_module()
class RAVDESSDataset(BaseActorDataset):
    """`RAVDESS <https://zenodo.org/records/1188976>`_, speech without sound.

    1,440 clips of 24 actors; fold k of six tests actors 4k - 3 to 4k. Labels
    are the set's codes 01..08 less one. Arguments and errors are those of
    :class:`BaseDFERDataset`.
    """

    CLASSES = (
        *('Neutral', 'Calm', 'Happy', 'Sad'),
        *('Angry', 'Fear', 'Disgust', 'Surprise'),
    )
    METAINFO = {'dataset_name': 'RAVDESS', 'classes': CLASSES}
    CLIP_NAME = r'02-01-0[1-8]-0[12]-0[12]-0[12]-([01]\d|2[0-4])'
    SEPARATOR = '-'
    ACTOR_FIELD = -1
    CODES = tuple(f'{code:02d}' for code in range(1, 9))
    FOLDS = range(1, 7)
    ACTORS = {k: range(4 * k - 3, 4 * k + 1) for k in FOLDS}
    PART = r'(?i)(Video_Speech_)?Actor_\d+'
    EXPECTED_TREE = """\
<data_root>/
  Actor_01/02-01-01-01-01-01-01.mp4 .. Actor_24/     (source='videos')
  faces/Actor_01/02-01-01-01-01-01-01/*.jpg          (source='frames')
Download Video_Speech_Actor_01.zip to 24 at zenodo.org/records/1188976"""

    @classmethod
    def release(cls) -> list[str]:
        """Names of the 1,440 clips; Neutral has no strong intensity."""
        parts = product(range(1, 25), cls.CODES, (1, 2), (1, 2), (1, 2))
        return [
            f'02-01-{code}-{level:02d}-{text:02d}-{take:02d}-{actor:02d}'
            for actor, code, level, text, take in parts
            if (code, level) != ('01', 2)
        ]


RAVDESSDataset.OFFICIAL_COUNTS = RAVDESSDataset.official_counts()
