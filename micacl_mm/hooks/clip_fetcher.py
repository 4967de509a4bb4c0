"""How a DataLoader gets the clips of a batch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

import torch
from mmengine.dist import all_reduce
from torch.utils.data import get_worker_info

from micacl_mm.datasets.samplers.labels import class_labels

from .bad_files import BadFileError, BadFileList
from .frame_faults import clip_faults
from .random_state import kept_state, seed_all

#: What is done about a clip that cannot be read.
POLICIES = ('raise', 'skip', 'resample')
#: Key in the meta information of a sample that stands in for a clip that
#: cannot be read, at a test. No metric may count it.
STAND_IN = 'stand_in'
#: Key in the meta information of a training sample: the name of its clip.
CLIP = 'clip'
#: Clips that are tried in a row before it is not the clips' fault.
_TRIES = 100


class Settings(NamedTuple):
    """What a :class:`ClipFetcher` does."""

    #: Of :data:`POLICIES`.
    policy: str
    #: Of the run; None leaves the random numbers alone.
    seed: Optional[int]
    rank: int
    #: ``'train'``, ``'val'`` or ``'test'``.
    mode: str


class ClipFetcher:
    """Gets the clips of a batch: seeded one by one, with a policy.

    The random numbers of a clip depend on seed, rank, epoch, number of the
    batch and place in it, and on nothing else: not on the number of workers,
    nor on what they did before. A clip that is shown twice gets other ones.

    Args:
        dataset: All of it, with its wrappers.
        settings (Settings): What to do.
        bad_files (BadFileList): Where to note what cannot be read.
        num_workers (int): Of the loader.
    """

    def __init__(
        self,
        dataset: Any,
        settings: Settings,
        bad_files: BadFileList,
        num_workers: int,
    ) -> None:
        self.dataset = dataset
        self.settings = settings
        self.bad_files = bad_files
        # Shared with the workers, also with those that live on.
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()
        meta = getattr(dataset, 'metainfo', None) or {}
        self.classes = list(map(str, meta.get('classes', ()))) + ['no class']
        # Clips drawn and, by class, clips that could not be read. A row a
        # worker, for they would not add up in one.
        shape = max(1, num_workers), 1 + len(self.classes)
        self.counts = torch.zeros(shape, dtype=torch.long).share_memory_()
        self.same_class: dict[int, list[int]] = {}
        if settings.policy == 'resample' and settings.mode == 'train':
            self.same_class = _group(dataset)
        self.label_of = {
            index: label
            for label, group in self.same_class.items()
            for index in group
        }

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Return the samples of a batch.

        Raises:
            BadFileError: A clip cannot be read, and the policy is
                ``'raise'``; or too many cannot.
        """
        key = (self.epoch.item(), getattr(indices, 'number', 0))
        with kept_state():
            samples = [
                self._fetch(index, (*key, place))
                for place, index in enumerate(indices)
            ]
            kept = [sample for sample in samples if sample is not None]
            if not kept:  # a batch cannot be empty
                others = self._following(indices[-1])
                place = len(indices)
                kept = [self._first(others, (*key, place), drawn=False)[1]]
        return kept

    def report(self) -> tuple[int, dict[str, int]]:
        """Count the draws of all ranks since the last report.

        For the main process of each rank.

        Returns:
            tuple[int, dict[str, int]]: clips drawn, and by class the clips
            that could not be read.
        """
        counts = self.counts.sum(0)
        all_reduce(counts)
        drawn, *bad = counts.tolist()
        self.counts.zero_()
        named = zip(self.classes, bad, strict=True)
        return drawn, {name: count for name, count in named if count}

    def _fetch(self, index: int, key: tuple[int, ...]) -> Any:
        """A sample; None for a clip that is left out."""
        self._count(0)
        policy, mode = self.settings.policy, self.settings.mode
        if policy == 'raise':
            return self._get(index, (*key, 0))
        if mode != 'train':
            # Ranks must have as many results as clips.
            found, sample = self._first(self._round(index), key)
            if found != index:
                sample['data_samples'].set_metainfo({STAND_IN: True})
            return sample
        if policy == 'resample':
            return self._first(self._alike(index), key)[1]
        try:
            return self._get(index, (*key, 0))
        except BadFileError:
            return None

    def _first(
        self,
        candidates: Iterator[int],
        key: tuple[int, ...],
        drawn: bool = True,
    ) -> tuple[int, Any]:
        """The first one that can be read, and its sample.

        ``drawn`` is whether the first candidate is a clip of the batch.
        """
        for attempt in range(_TRIES):
            try:
                index = next(candidates)
                count = drawn and attempt == 0
                return index, self._get(index, (*key, attempt), count)
            except BadFileError as error:
                last = error
        raise BadFileError(
            f'SafeDataHook: none of {_TRIES} clips in a row can be read, the '
            f'last one because {last}; look whether the data are where the '
            'config says'
        )

    def _get(
        self, index: int, key: tuple[int, ...], count: bool = True
    ) -> Any:
        """Seed, and take a sample of the data set.

        ``count`` is whether it is a clip of the batch, not another try.
        """
        if self.settings.seed is not None:
            seed_all((1, self.settings.seed, self.settings.rank, *key))
        try:
            sample = self.dataset[index]
        except BadFileError as error:
            row = self._describe(index, error)
            if self.settings.policy == 'raise':
                raise BadFileError(
                    f'SafeDataHook: clip {row["clip"]} (class {row["class"]}) '
                    f'cannot be read: {error}; mend the file, or go on '
                    "without it by bad_data='skip' or 'resample'"
                ) from error
            if error.path not in self.bad_files.known:
                self.bad_files.add(row)
                for path, reason in clip_faults(error.frames).items():
                    self.bad_files.add({**row, 'path': path, 'reason': reason})
            if count:
                self._count(1 + self.classes.index(row['class']))
            raise
        if self.settings.mode == 'train':  # for NonFiniteLossHook
            parts = sample if isinstance(sample, dict) else {}
            told = getattr(parts.get('data_samples'), 'set_metainfo', None)
            if told:
                told({CLIP: self._name(index, self._look(index))})
        return sample

    def _describe(self, index: int, error: BadFileError) -> dict[str, str]:
        info = self._look(index)
        label = info.get('label')
        known = isinstance(label, int) and 0 <= label < len(self.classes) - 1
        return {
            'path': error.path,
            'reason': error.reason,
            'clip': self._name(index, info),
            'class': self.classes[label if known else -1],
            'split': self.settings.mode,
        }

    def _look(self, index: int) -> dict:
        look = getattr(self.dataset, 'get_data_info', lambda index: {})
        return look(index)

    @staticmethod
    def _name(index: int, info: dict) -> str:
        keys = ('video_id', 'frame_dir', 'filename')
        names = (str(info[key]) for key in keys if info.get(key))
        return next(names, str(index))

    def _count(self, column: int) -> None:
        info = get_worker_info()
        self.counts[info.id if info else 0, column] += 1

    def _round(self, index: int) -> Iterator[int]:
        """A clip and those after it, without end."""
        yield index
        yield from self._following(index)

    def _following(self, index: int) -> Iterator[int]:
        while True:
            index = (index + 1) % len(self.dataset)
            yield index

    def _alike(self, index: int) -> Iterator[int]:
        """A clip, then clips of its class as chance will have it."""
        yield index
        label = self.label_of.get(index)
        group = self.same_class.get(label, range(len(self.dataset)))
        # From the generator that the failed try has seeded.
        for _ in range(_TRIES // 2):
            yield group[int(torch.randint(len(group), ()))]
        while True:  # perhaps no clip of the class can be read
            yield int(torch.randint(len(self.dataset), ()))


def _group(dataset: Any) -> dict[int, list[int]]:
    """Clips of each class; empty where clips have no single class."""
    groups: dict[int, list[int]] = defaultdict(list)
    try:
        for index, label in enumerate(class_labels(dataset, 'SafeDataHook')):
            groups[label].append(index)
    except (ValueError, KeyError, AttributeError):
        return {}
    return dict(groups)


def count_words(bad: dict[str, int]) -> str:
    """Counts by class in words, ``'2 Happy, 1 Fear'``."""
    return ', '.join(f'{count} {name}' for name, count in bad.items())
