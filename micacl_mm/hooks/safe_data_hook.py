"""Data that depend on the seed alone, and a policy for bad files."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_rank
from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from micacl_mm.errors import ConfigError, check_choice
from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks.bad_files import BadFileError, watch
from micacl_mm.registry import HOOKS
from micacl_mm.utils.datasets import class_labels, data_info

POLICIES = ('raise', 'resample')
#: Keys in the meta information of samples: the name of a training clip; that
#: the sample replaces an unreadable test clip, which no metric may count;
#: and on the first sample of a batch its bad clips.
CLIP, STAND_IN, BAD_CLIPS = 'clip', 'stand_in', 'bad_clips'
#: Clips that are tried before the data as a whole are at fault.
TRIES = 100
#: Arguments of a DataLoader that a replacement takes over.
_LOADER = (
    *('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn'),
    *('multiprocessing_context', 'generator', 'prefetch_factor'),
    'persistent_workers',
)


@HOOKS.register_module()
class SafeDataHook(Hook):
    """Makes data depend on the seed alone, and handles bad files.

    **Random numbers.** Those of a clip's transforms depend on seed, rank,
    epoch, number of the batch and place in it; those of a training step
    (dropout) on seed, rank and iteration. So a training has the same numbers
    with any number of workers, and after ``--resume``. Transforms must draw
    from the generators of ``random``, ``numpy.random`` or ``torch``, as all
    of MMAction2's do. Works with any dataset and wrapper of MMEngine.

    **Bad files**: missing, empty, truncated, undecodable, or a frame of
    another size than most of its clip. At a clip with such a file:

    - ``'raise'``: an error names clip and file;
    - ``'resample'``: in training another clip of the same class takes its
      place, drawn by the seed. In validation and test the metric covers fewer
      clips, and says so.

    Bad files are logged at the end of the epoch, each once.

    Args:
        bad_data (str): ``'raise'`` or ``'resample'``. Defaults to
            ``'raise'``.

    Raises:
        ConfigError: An unknown policy; or a metric that would count clips
            that were not read.
        BadFileError: By the policy, or if no clip of a class can be read.

    Example:
        >>> custom_hooks = [dict(type='SafeDataHook', bad_data='resample')]
    """

    def __init__(self, bad_data: str = 'raise') -> None:
        check_choice('SafeDataHook', POLICIES, bad_data=bad_data)
        self.bad_data = bad_data
        self._first_seed: Optional[int] = None
        self._bad_clips: list[dict] = []
        self._logged: set[str] = set()
        self._by_iter = False

    def before_run(self, runner: Runner) -> None:
        """Note the seed that the sampler has got."""
        self._first_seed = runner.seed

    def before_train(self, runner: Runner) -> None:
        """Take over the loading of the training set."""
        loop = runner.train_loop
        _reseed_sampler(loop.dataloader, self._first_seed, runner.seed)
        self._by_iter = isinstance(loop, IterBasedTrainLoop)
        taken = self._take_over(runner, loop, 'train')
        if taken and self._by_iter:  # its iterator was made with the loop
            kind = type(loop.dataloader_iterator)
            loop.dataloader_iterator = kind(loop.dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the batches their epoch."""
        batches = runner.train_loop.dataloader.batch_sampler
        if isinstance(batches, _Draws):
            batches.epoch = runner.epoch

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed the step."""
        key = (0, runner.seed, get_rank(), runner.iter)
        _seed(key, torch.manual_seed)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        """Note the bad clips of the batch."""
        batch = data_batch if isinstance(data_batch, dict) else {}
        for sample in batch.get('data_samples', ()):
            self._bad_clips += sample.get(BAD_CLIPS, ())

    def before_val(self, runner: Runner) -> None:
        """Take over the loading of the validation set."""
        self._before_test(runner, runner.val_loop, 'val')

    def before_test(self, runner: Runner) -> None:
        """Take over the loading of the test set."""
        self._before_test(runner, runner.test_loop, 'test')

    def _before_test(self, runner: Runner, loop: Any, mode: str) -> None:
        for metric in loop.evaluator.metrics:
            if self.bad_data == 'raise' or isinstance(metric, RecallMetric):
                continue
            name = type(metric).__name__
            if isinstance(metric, DumpResults):
                name = f'--dump ({name})'
            raise ConfigError(
                f'SafeDataHook: {name} would count other clips for those that '
                'were not read',
                "use RecallMetric alone, or set bad_data='raise'",
            )
        self._take_over(runner, loop, mode)

    def _take_over(self, runner: Runner, loop: Any, mode: str) -> bool:
        """Replace the loader by one of our clips; False if it cannot be."""
        loader, batches = loop.dataloader, loop.dataloader.batch_sampler
        if isinstance(loader.dataset, _SafeClips) or batches is None:
            return False
        watch(loader.dataset)
        sampler = getattr(batches, 'sampler', None)
        if isinstance(sampler, InfiniteSampler):  # workers have begun it
            batches.sampler = InfiniteSampler(
                loader.dataset, sampler.shuffle, sampler.seed
            )
        by_iter = self._by_iter and mode == 'train'
        loop.dataloader = DataLoader(
            _SafeClips(loader.dataset, self.bad_data, mode, runner.seed),
            batch_sampler=_Draws(batches, by_iter),
            **{name: getattr(loader, name) for name in _LOADER},
        )
        return True

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Report the bad files of an epoch, over all processes."""
        found = sum(all_gather_object(self._bad_clips), [])
        self._bad_clips = []
        if get_rank() != 0 or not found:
            return
        counts = Counter(clip['class'] for clip in found if clip['drawn'])
        words = ', '.join(f'{n} {name}' for name, n in sorted(counts.items()))
        when = f'epoch {runner.epoch + (mode == "train")}'
        if self._by_iter:
            when = f'iteration {runner.iter}'
        done = 'left out'
        if mode == 'train':
            done = 'replaced by others of the class'
        runner.logger.warning(
            f'{mode}, {when}: {counts.total()} clips could not be read '
            f'({words}) and were {done}'
        )
        for clip in found:
            for file, reason in clip['files'].items():
                if file not in self._logged:
                    runner.logger.warning(
                        f'bad file: {file} {reason} (clip {clip["clip"]}, '
                        f'{clip["class"]})'
                    )
                self._logged.add(file)


class _Draw(NamedTuple):
    """A clip of a batch: which one, and what its random numbers depend on."""

    index: int
    epoch: int
    batch: int
    place: int


class _Draws:
    """A batch sampler that hands out :class:`_Draw` for indices."""

    def __init__(self, batches: Any, endless: bool) -> None:
        self.batches = batches
        self.sampler = getattr(batches, 'sampler', None)
        self.batch_size = getattr(batches, 'batch_size', None)
        self.drop_last = getattr(batches, 'drop_last', False)
        self.endless = endless
        self.epoch = 0
        self._count = 0

    def __iter__(self) -> Iterator[list[_Draw]]:
        if not self.endless:
            self._count = 0
        for indices in self.batches:
            yield [
                _Draw(index, self.epoch, self._count, place)
                for place, index in enumerate(indices)
            ]
            self._count += 1

    def __len__(self) -> int:
        return len(self.batches)


class _SafeClips:
    """A dataset whose batches are seeded clip by clip, with a policy."""

    def __init__(
        self, dataset: Any, policy: str, mode: str, seed: int
    ) -> None:
        self.dataset = dataset
        self.metainfo = getattr(dataset, 'metainfo', {})
        self.policy = policy
        self.mode = mode
        self.seed = seed
        self.rank = get_rank()
        self._groups: dict[int, list[int]] = defaultdict(list)
        if (policy, mode) == ('resample', 'train'):
            self._group()

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, index: int) -> dict:
        """Data of a clip, none if the dataset is not of MMEngine."""
        try:
            return data_info(self.dataset, index)
        except AttributeError:
            return {}

    def __getitems__(self, draws: Sequence[_Draw]) -> list[dict]:
        """Return the samples of a batch, which PyTorch asks for at once."""
        bad: list[dict] = []
        samples = [self._sample(draw, bad) for draw in draws]
        if bad:
            samples[0]['data_samples'].set_metainfo({BAD_CLIPS: bad})
        return samples

    def _sample(self, draw: _Draw, bad: list[dict]) -> dict:
        """The sample of a clip, or of the first one that can be read."""
        candidates = islice(self._candidates(draw.index), TRIES)
        for attempt, index in enumerate(candidates):
            try:
                sample = self._get(index, draw, attempt)
            except BadFileError as error:
                last = error
                bad.append(self._describe(index, error, attempt == 0))
                continue
            # Ranks must have as many results as clips.
            if attempt and self.mode != 'train':
                sample['data_samples'].set_metainfo({STAND_IN: True})
            return sample
        raise BadFileError(
            f'SafeDataHook: none of {attempt + 1} clips can be read, the last '
            f'one because {last}',
            'check that the data are where the config says',
        )

    def _get(self, index: int, draw: _Draw, attempt: int) -> dict:
        """Seed, and take a sample of the dataset."""
        key = (1, self.seed, self.rank, *draw[1:], attempt)
        _seed(key, torch.default_generator.manual_seed)
        sample = self.dataset[index]
        if self.mode == 'train' and isinstance(sample, dict):
            packed = sample.get('data_samples')
            if hasattr(packed, 'set_metainfo'):  # for NonFiniteLossHook
                info = self.get_data_info(index)
                packed.set_metainfo({CLIP: _clip_name(info, index)})
        return sample

    def _describe(self, index: int, error: BadFileError, drawn: bool) -> dict:
        """Raise, or describe the clip; ``drawn``: not one in its place."""
        info = self.get_data_info(index)
        names = list(map(str, self.metainfo.get('classes', ())))
        clip, label = _clip_name(info, index), info.get('label')
        known = isinstance(label, int) and 0 <= label < len(names)
        name = names[label] if known else 'no class'
        if self.policy == 'raise':
            raise BadFileError(
                f'SafeDataHook: clip {clip} (class {name}) cannot be read: '
                f'{error}',
                "repair the file, or set bad_data='resample' in SafeDataHook",
            ) from error
        return {
            'clip': clip,
            'class': name,
            'drawn': drawn,
            'files': error.faults,
        }

    def _group(self) -> None:
        """Group the clips by class; no groups where several have several."""
        try:
            labels = class_labels(self.dataset, 'SafeDataHook')
        except (ValueError, KeyError, AttributeError):
            return
        for index, label in enumerate(labels):
            self._groups[label].append(index)

    def _candidates(self, index: int) -> Iterator[int]:
        """A clip, then others, in training those of its class, drawn."""
        yield index
        others = [*range(index + 1, len(self)), *range(index)]
        if self.mode == 'train':
            for clips in self._groups.values():
                others = clips if index in clips else others
            # By the generator that the failed attempt has seeded.
            order = torch.randperm(len(others)).tolist()
            others = [others[i] for i in order if others[i] != index]
        yield from others


def _seed(key: Sequence[int], seed_torch: Callable[[int], Any]) -> None:
    """Seed ``random``, NumPy and PyTorch by a key."""
    words = np.random.SeedSequence([number % 2**64 for number in key])
    state = words.generate_state(8)
    random.seed(state.tobytes())
    np.random.seed(state[:4])
    seed_torch(int(state[4]) << 32 | int(state[5]))


def _clip_name(info: dict, index: int) -> str:
    keys = ('video_id', 'frame_dir', 'filename')
    return next((str(info[k]) for k in keys if info.get(k)), str(index))


def _reseed_sampler(
    loader: DataLoader, old: Optional[int], new: Optional[int]
) -> None:
    """Give the order of clips the seed of a resumed training.

    Without ``--seed`` the loader was built with another, random one.
    """
    batches = loader.batch_sampler
    for part in (loader.sampler, getattr(batches, 'sampler', None)):
        if getattr(part, 'seed', None) == old is not None:
            part.seed = new
