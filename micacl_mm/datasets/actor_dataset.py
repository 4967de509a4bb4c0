"""Sets of actors whose file names tell person and emotion."""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Union

from mmengine.logging import print_log

from micacl_mm.errors import check_choice

from .base import BaseDFERDataset
from .layouts import FoundClip, find_named_clips
from .splits import SplitRow


class BaseActorDataset(BaseDFERDataset):
    """Clips of actors, tested on persons that were not trained on.

    There are no split files: the clips of the release are known by a rule,
    and a fold tests a range of consecutive actors. The validation slice
    consists of whole actors too. A drawn set has the clips that are there.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        fold (int): The fold, from 1. Defaults to 1.
        **kwargs: Arguments of :class:`BaseDFERDataset`.

    Raises:
        ConfigError: For a wrong argument.
        MissingFileError: For a missing root or clip.
    """

    VARIANT = 'fold'
    #: Pattern of a clip's name.
    CLIP_NAME = ''
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
    #: Pattern of the last folders that are no copies but parts of one.
    PART = '(?!)'

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        fold: Union[int, str] = 1,
        **kwargs,
    ) -> None:
        name = type(self).__name__
        check_choice(name, tuple(map(str, self.ACTORS)), fold=str(fold))
        self.fold = int(fold)
        super().__init__(data_root, pipeline, **kwargs)

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
        names = cls.release()
        return {
            fold: {
                split: count_labels(
                    cls.fold_rows(names, fold, split), len(cls.CODES)
                )
                for split in ('train', 'test')
            }
            for fold in cls.ACTORS
        }

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of ``'train'`` or ``'test'``."""
        names = self.release()
        if self.is_drawn:
            there = {
                clip.key
                for source in self.CLIP_FOLDERS
                for clip in self._find(self.data_root, source)
            }
            names = [name for name in names if name.lower() in there]
        return self.fold_rows(names, self.fold, split)

    def find_clips(self, root: str) -> Iterable[FoundClip]:
        """List the clips on disk."""
        return self._find(root, self.source)

    def _find(self, root: str, source: str) -> Iterable[FoundClip]:
        return find_named_clips(root, source, self.CLIP_NAME, self.PART)

    def load_data_list(self) -> list[dict]:
        """Join the clips of the fold with those on disk."""
        infos = super().load_data_list()
        if self.BROKEN:
            print_log(
                f'{type(self).__name__}: damaged in the release and left '
                f'out: {", ".join(sorted(self.BROKEN))}.',
                logger='current',
            )
        return infos

    def official_row(self, path: str, label: int) -> str:
        """The name of the clip, which tells its label."""
        return path.split('/')[-1]

    def parse_row(self, line: str) -> SplitRow:
        """Read the name of a clip."""
        name = re.sub(r'\.\w{2,4}$', '', line.strip('" '))
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
