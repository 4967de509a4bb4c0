"""The same data for the same seed, and a policy for bad files."""

from collections.abc import Mapping
from typing import Any, Optional

from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from micacl_mm.arguments import checked_arguments
from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks.bad_files import LIST, BadFileList
from micacl_mm.hooks.clip_fetcher import (
    POLICIES,
    ClipFetcher,
    Settings,
    count_words,
)
from micacl_mm.hooks.guarded_step import guard
from micacl_mm.hooks.numbered_batches import install, restart
from micacl_mm.hooks.random_state import seed_all
from micacl_mm.registry import HOOKS


@HOOKS.register_module()
@checked_arguments
class SafeDataHook(Hook):
    """Makes data depend on the seed alone, and deals with bad files.

    **Random numbers.** Those of a clip's transforms depend on seed, epoch,
    number of the batch and place in it, those of a training step (dropout)
    on seed and number of the step. So a training has the same numbers with
    any number of workers, and after a kill and ``--resume``; of the GPU's
    kernels see docs/reliability.md. Transforms must draw from the generators
    of ``random``, ``numpy.random`` or ``torch``, as all in MMAction2 do.

    **Bad files**: missing, empty, cut off, not to be decoded, or a frame of
    another size than most of its clip. At a bad file of a clip:

    - ``'raise'``: an error that names clip and file;
    - ``'skip'``: the batch goes on without the clip. In validation and test
      the metric covers fewer clips, and says so;
    - ``'resample'``: in training another clip of the same class takes its
      place, drawn by the seed; elsewhere as ``'skip'``.

    Each bad file is logged once, at the end of the epoch, and stands in
    ``bad_files.jsonl`` in the work directory; a training that begins anew
    begins it anew, a resumed one goes on with it. With several processes
    ``'skip'`` becomes ``'resample'`` in training, as batches of MCCL must be
    of one size on all of them.

    Args:
        bad_data (str): ``'raise'``, ``'skip'`` or ``'resample'``. Defaults to
            ``'raise'``.
        seeded (bool): Whether to seed. Defaults to True.

    Raises:
        ValueError: For a wrong policy, and for a metric that would count
            clips that were not read, or store scores of others for them.
        BadFileError: By the policy, or where no clip can be read any more.

    Example:
        >>> custom_hooks = [
        ...     dict(type='ClassCountsHook'),
        ...     dict(type='ResultHook'),
        ...     dict(type='SafeDataHook', bad_data='resample'),
        ... ]
    """

    def __init__(self, bad_data: str = 'raise', seeded: bool = True) -> None:
        if bad_data not in POLICIES:
            raise ValueError(
                "SafeDataHook: bad_data must be 'raise', 'skip' or "
                f"'resample', got {bad_data!r}"
            )
        self.bad_data = bad_data
        self.seeded = seeded
        self._bad_files: Optional[BadFileList] = None
        self._fetchers: dict[str, ClipFetcher] = {}
        self._by_iter = False

    def before_train(self, runner: Runner) -> None:
        """Take over the loading of the training set."""
        policy = self.bad_data
        if policy == 'skip' and get_world_size() > 1:
            policy = 'resample'
            runner.logger.warning(
                "SafeDataHook: 'skip' is 'resample' in this training, for "
                'batches must be of one size on all processes'
            )
        if runner.iter == 0:
            self._list(runner).clear()
            barrier()
        loader = runner.train_dataloader
        self._by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        if self.seeded:
            _reseed_sampler(runner, loader)
        self._take_over(runner, loader, 'train', policy)
        if self._by_iter and 'train' in self._fetchers:
            restart(runner.train_loop)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers."""
        if 'train' in self._fetchers:
            self._fetchers['train'].epoch.fill_(runner.epoch)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed the step."""
        if self.seeded:
            seed_all((0, runner.seed, get_rank(), runner.iter), devices=True)

    def after_train_epoch(self, runner: Runner) -> None:
        """Report the bad files of the epoch."""
        self._report(runner, 'train')

    def after_train(self, runner: Runner) -> None:
        """Report what is left, and how many there are in all."""
        barrier()
        self._report(runner, 'train')
        total = len(self._list(runner).read()) if get_rank() == 0 else 0
        if total:
            runner.logger.warning(
                f'{total} bad files in all, see {LIST} in {runner.work_dir}'
            )

    def before_val(self, runner: Runner) -> None:
        """Take over the loading of the validation set."""
        self._before_test(runner, runner.val_loop, 'val')

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[dict] = None
    ) -> None:
        """Report the bad files of the validation."""
        self._report(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Take over the loading of the test set."""
        self._before_test(runner, runner.test_loop, 'test')

    def after_test_epoch(
        self, runner: Runner, metrics: Optional[dict] = None
    ) -> None:
        """Report the bad files of the test."""
        self._report(runner, 'test')

    def _before_test(self, runner: Runner, loop: Any, mode: str) -> None:
        for metric in loop.evaluator.metrics:
            if self.bad_data == 'raise' or isinstance(metric, RecallMetric):
                continue
            if isinstance(metric, DumpResults):
                raise ValueError(
                    'SafeDataHook: --dump (DumpResults) would store the '
                    'scores of other clips for those that were not read; '
                    f'with {self.bad_data!r} do without it, or set '
                    "bad_data='raise'"
                )
            raise ValueError(
                f'SafeDataHook: {type(metric).__name__} would count clips '
                f'that were not read; with {self.bad_data!r} take '
                "RecallMetric, or set bad_data='raise'"
            )
        policy = 'raise' if self.bad_data == 'raise' else 'skip'
        self._take_over(runner, loop.dataloader, mode, policy)

    def _list(self, runner: Runner) -> BadFileList:
        if self._bad_files is None:
            self._bad_files = BadFileList(runner.work_dir, get_rank())
        return self._bad_files

    def _take_over(
        self, runner: Runner, loader: DataLoader, mode: str, policy: str
    ) -> None:
        if mode in self._fetchers:
            return
        if loader.batch_sampler is None:
            runner.logger.warning(
                f'SafeDataHook: the {mode} loader makes no batches '
                '(batch_size=None): its clips are not seeded or watched'
            )
            return
        guard(loader.dataset)
        seed = runner.seed if self.seeded else None
        fetcher = ClipFetcher(
            loader.dataset,
            Settings(policy, seed, get_rank(), mode),
            self._list(runner),
            loader.num_workers,
        )
        install(fetcher, loader, self._by_iter and mode == 'train')
        self._fetchers[mode] = fetcher

    def _report(self, runner: Runner, mode: str) -> None:
        fetcher = self._fetchers.get(mode)
        if fetcher is None:
            return
        drawn, bad = fetcher.report()
        if bad:
            done = {
                'skip': 'left out',
                'resample': 'replaced by others of the class',
            }[fetcher.settings.policy]
            # MMEngine shows an equal warning only once, so with the time.
            when = f'epoch {runner.epoch + (mode == "train")}'
            if self._by_iter:
                when = f'iteration {runner.iter}'
            runner.logger.warning(
                f'{mode}, {when}: {sum(bad.values())} of {drawn} clips drawn '
                f'could not be read ({count_words(bad)}) and were {done}'
            )
        if get_rank() == 0:
            for row in self._list(runner).join():
                runner.logger.warning(
                    f'bad file: {row["path"]} {row["reason"]} (clip '
                    f'{row["clip"]}, {row["class"]})'
                )


def _reseed_sampler(runner: Runner, loader: DataLoader) -> None:
    """Give the order of clips the seed of a resumed training.

    Without ``--seed`` the loader was built with another random one.
    """
    told = runner.cfg.get('train_dataloader') or {}
    told = told.get('sampler') if isinstance(told, Mapping) else None
    own = not isinstance(told, Mapping) or told.get('seed') is not None
    if own or runner._randomness_cfg.get('diff_rank_seed'):
        return
    for part in (loader.sampler, getattr(loader.batch_sampler, 'sampler', 0)):
        if isinstance(getattr(part, 'seed', None), int):
            part.seed = runner.seed
