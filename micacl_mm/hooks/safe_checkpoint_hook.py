"""Checkpoints that survive a kill at any moment."""

import logging
import shutil
from pathlib import Path
from typing import Optional

import torch
from filelock import FileLock, Timeout
from mmaction.evaluation import AccMetric
from mmengine.dist import barrier, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop, Runner

from micacl_mm.errors import ConfigError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks.checkpoint_files import (
    NOTE,
    check_resumable,
    find_start,
)
from micacl_mm.registry import HOOKS
from micacl_mm.utils.files import write_text

#: Names in the message hub: the epoch (iteration) of the last validation,
#: and files that are no longer needed.
_VALIDATED = 'validated'
_OUTDATED = 'outdated_ckpts'


class _LateRemoval(LocalBackend):
    """Removes files only once the new ones are written."""

    def __init__(self, hub: MessageHub) -> None:
        self.hub = hub
        self.outdated: list[str] = []

    def remove(self, filepath: str) -> None:
        self.outdated.append(str(filepath))
        # In the new checkpoint, as a kill may come before the removal.
        self.hub.update_info(_OUTDATED, list(self.outdated))

    rmtree = remove

    def flush(self) -> None:
        for path in map(Path, self.outdated):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.outdated = []


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Stores checkpoints such that a kill at any moment costs only time.

    As MMEngine's hook, and

    - a checkpoint is complete or absent, also after a kill or a full disk;
    - the previous checkpoint, or the previous best one, is removed only after
      the new one is written; MMEngine removes it before;
    - ``--resume`` takes the last whole checkpoint, names broken ones, refuses
      files without optimizer and schedule (``best_*.pth``), and warns if the
      number of batches per epoch has changed;
    - a validation that a kill has cut off is made up for, else the best
      checkpoint could be another one;
    - a second training in the same work directory is refused;
    - a ``save_best`` that the metrics do not give is refused at the start.

    Args:
        **kwargs: Arguments of ``CheckpointHook``. ``out_dir`` must be a
            local folder; ``backend_args`` and ``file_client_args`` cannot be
            given.

    Raises:
        ConfigError: Another backend; a checkpoint that cannot be resumed
            from; a work directory in use; an unknown ``save_best``.

    Example:
        >>> default_hooks = dict(
        ...     checkpoint=dict(type='SafeCheckpointHook', interval=1)
        ... )
    """

    def __init__(self, **kwargs) -> None:
        given = {'backend_args', 'file_client_args'} & kwargs.keys()
        if given or '://' in str(kwargs.get('out_dir', '')):
            raise ConfigError(
                'SafeCheckpointHook: checkpoints must go to a local folder, '
                f'got {", ".join(sorted(given)) or kwargs["out_dir"]}',
                'use CheckpointHook for other places',
            )
        super().__init__(**kwargs, backend_args=dict(backend='atomic'))
        self._start: Optional[Path] = None
        self._lock: Optional[FileLock] = None

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, before MMEngine looks."""
        runner.logger.addFilter(_is_for_users)
        given = runner.cfg.get('load_from')
        if is_main_process() and runner.cfg.get('resume'):
            self._start = Path(given) if given else self._find_start(runner)
            if self._start is not None and self._start.is_file():
                check_resumable(self._start)
        barrier()

    def before_train(self, runner: Runner) -> None:
        """Finish what a kill has cut off."""
        self._check_best(runner)
        if runner.iter > 0:
            self._find_best(runner)
        super().before_train(runner)
        self.file_backend = _LateRemoval(runner.message_hub)
        folder = Path(self.out_dir)
        if is_main_process():
            self._take_lock(runner)
            for path in {folder, Path(runner.work_dir)}:
                for part in path.glob('.*.part'):
                    part.unlink(missing_ok=True)
            self._warn_of_older(runner)
        if runner.iter == 0:
            return
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        batches = len(runner.train_dataloader)
        if not by_iter and runner.iter != runner.epoch * batches:
            runner.logger.warning(
                f'The checkpoint has {runner.iter} iterations in '
                f'{runner.epoch} epochs, but an epoch now has {batches} '
                'batches: batch size, processes or data have changed. The '
                'learning rate follows the old schedule'
            )
        if is_main_process():
            names = runner.message_hub.runtime_info.get(_OUTDATED, ())
            # By name: the folder may have been moved.
            outdated = [str(folder / Path(name).name) for name in names]
            self.file_backend.outdated = outdated
            self.file_backend.flush()
        self._validate_late(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Store a checkpoint, then remove the previous one."""
        super().after_train_epoch(runner)
        self.file_backend.flush()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Store a checkpoint, then remove the previous one."""
        super().after_train_iter(runner, *args, **kwargs)
        self.file_backend.flush()

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[dict] = None
    ) -> None:
        """Store the best checkpoint, then remove the previous one."""
        if not isinstance(getattr(self, 'file_backend', 0), _LateRemoval):
            return  # a validation without training stores nothing
        runner.message_hub.update_info(_VALIDATED, _steps(runner))
        super().after_val_epoch(runner, metrics)
        self.file_backend.flush()

    def after_train(self, runner: Runner) -> None:
        """Publish the checkpoint, if asked for, and free the folder."""
        super().after_train(runner)
        if self._lock is not None:
            self._lock.release(force=True)

    def _check_best(self, runner: Runner) -> None:
        """MMEngine fails after the first epoch."""
        loop = runner.val_loop
        for key in self.save_best or () if loop else ():
            metrics = loop.evaluator.metrics
            if key == 'auto' or any(_may_give(m, key) for m in metrics):
                continue
            names = [f'{type(m).__name__} ({m.prefix}/...)' for m in metrics]
            raise ConfigError(
                f'SafeCheckpointHook: save_best={key!r} is no metric of '
                f'{", ".join(names)}',
                'set default_hooks.checkpoint.save_best, such as acc/UAR of '
                'RecallMetric or acc/top1 of AccMetric, or auto for the '
                'first metric',
            )

    def _take_lock(self, runner: Runner) -> None:
        path = Path(runner.work_dir, '.training.lock')
        # A process may train again where an error ended its first training.
        self._lock = FileLock(path, is_singleton=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f'another training is running in {runner.work_dir}',
                'wait for its end (after a kill its workers need some '
                'seconds), or choose another --work-dir',
            ) from None

    def _find_start(self, runner: Runner) -> Optional[Path]:
        note, folder = Path(runner.work_dir, NOTE), self._folder(runner)
        start, broken = find_start(note, folder, self.filename_tmpl)
        for path in broken:
            runner.logger.warning(
                f'{path} is broken and skipped; resuming from '
                f'{start.name if start else "the start"}'
            )
        if start is not None:
            write_text(note, str(start))
            return start
        lost = broken or note.exists()
        (runner.logger.warning if lost else runner.logger.info)(
            f'No {"whole " if lost else ""}checkpoint to resume from in '
            f'{folder}: starting from the beginning'
        )
        note.unlink(missing_ok=True)  # MMEngine would fail to load that
        return None

    def _folder(self, runner: Runner) -> Path:
        """Of the checkpoints, before CheckpointHook knows it."""
        if self.out_dir in (None, runner.work_dir):
            return Path(runner.work_dir)
        return Path(self.out_dir, Path(runner.work_dir).name)

    def _warn_of_older(self, runner: Runner) -> None:
        """The next ``--resume`` could take another training's checkpoint."""
        note, folder = Path(runner.work_dir, NOTE), Path(self.out_dir)
        found, _ = find_start(note, folder, self.filename_tmpl)
        start = self._start
        if found and not (start and start.exists() and found.samefile(start)):
            runner.logger.warning(
                f'{found} belongs to an earlier training: until this one has '
                'stored a checkpoint, --resume would continue that one. '
                'Choose another --work-dir to keep them apart'
            )

    def _find_best(self, runner: Runner) -> None:
        """Look up the best checkpoints so far; the folder may have moved.

        Those of another folder, from which a training is resumed, stay there:
        MMEngine would remove them in favour of a better one here.
        """
        hub = runner.message_hub
        for key, old in list(hub.runtime_info.items()):
            if not key.startswith('best_ckpt') or not old:
                continue
            path = self._folder(runner) / Path(old).name
            hub.update_info(key, str(path) if path.exists() else None)
            if not path.exists():
                runner.logger.warning(
                    f'{path}, the best checkpoint so far, is not there; only '
                    'a better one will be stored'
                )

    def _validate_late(self, runner: Runner) -> None:
        """Validate if the last step before the kill still needs that."""
        loop, done = runner.train_loop, _steps(runner)
        if runner.val_loop is None:
            return
        last = loop.max_epochs
        if isinstance(loop, IterBasedTrainLoop):
            last = loop.max_iters
        due = done % loop.val_interval == 0 or done == last
        before = runner.message_hub.runtime_info.get(_VALIDATED)
        if due and done >= loop.val_begin and before != done:
            runner.logger.info('Repeating the validation that was cut off')
            runner.val_loop.run()


def _may_give(metric: BaseMetric, key: str) -> bool:
    """Whether a metric may give a value of this name."""
    front = f'{metric.prefix}/' if metric.prefix else ''
    name = key.removeprefix(front)
    if not key.startswith(front):
        return False
    if type(metric) is RecallMetric:
        known = RecallMetric.summarise(torch.eye(1), [''])
        return name in known or name.startswith('recall/')
    if type(metric) is AccMetric:
        tops = metric.metric_options.get('top_k_accuracy', {}).get('topk', ())
        return name in {'mean1', *metric.metrics, *(f'top{k}' for k in tops)}
    return True  # who knows


def _is_for_users(record: logging.LogRecord) -> bool:
    """Leave out what MMEngine says of its own old classes."""
    own = '"FileClient" will be', '"HardDiskBackend" is'
    return not record.getMessage().startswith(own)


def _steps(runner: Runner) -> int:
    """Finished epochs, or iterations in a training by iterations."""
    by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    return runner.iter if by_iter else runner.epoch
