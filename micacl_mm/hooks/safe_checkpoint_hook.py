"""Checkpoints that survive a kill at any moment."""

import errno
import logging
import lzma
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Optional, Union

import torch
from filelock import FileLock, Timeout
from mmaction.evaluation import AccMetric
from mmengine.dist import barrier, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop, Runner

from micacl_mm.errors import ConfigError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.registry import HOOKS
from micacl_mm.utils.files import replacing, write_text

#: Where MMEngine looks up the checkpoint to resume from.
NOTE = 'last_checkpoint'
#: Names in the message hub: the epoch (iteration) of the last validation,
#: and files that are no longer needed.
_VALIDATED = 'validated'
_OUTDATED = 'outdated_ckpts'
#: What ``zipfile`` raises for files that are no whole archives.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError),
)
#: What a training cannot be resumed without.
_STATE = ('meta', 'optimizer', 'param_schedulers', 'message_hub')


class AtomicBackend(LocalBackend):
    """MMEngine's file backend ``'atomic'``.

    Writes files whole or not at all: a kill or a power cut leaves the old
    file or the new one. Removes them once the new ones are written.
    """

    def __init__(self) -> None:
        self.outdated: list[str] = []

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file, whose folder is made.

        Raises:
            OSError: There is no room. The old file, if any, is still there.
        """
        path = Path(filepath)
        try:
            with replacing(path) as part:
                part.write_bytes(obj)
        except OSError as error:
            limits = {
                errno.ENOSPC: 'the disk is full',
                errno.EDQUOT: 'your quota is used up',
                errno.EFBIG: 'no file may be so large here (ulimit -f)',
            }
            if error.errno not in limits:
                raise
            raise OSError(
                error.errno,
                f'{path.name} needs {len(obj) / 2**20:.1f} MiB, but '
                f'{limits[error.errno]}; earlier checkpoints are intact. Fix: '
                'make room, then repeat the command with --resume',
                str(path.parent),
            ) from error

    def remove(self, filepath: Union[str, Path]) -> None:
        """Note a file or folder for :meth:`flush`."""
        self.outdated.append(str(filepath))
        # In the new checkpoint, as a kill may come before the removal.
        hub = MessageHub.get_current_instance()
        hub.update_info(_OUTDATED, list(self.outdated))

    rmtree = remove

    def flush(self) -> None:
        """Remove what is outdated."""
        for path in map(Path, self.outdated):
            if path.is_dir():  # of DeepSpeed
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.outdated = []


register_backend('atomic', AtomicBackend)


def is_whole(path: Path) -> bool:
    """Whether a file of ``torch.save`` is complete, by its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except _ZIP_ERRORS:
        return False


def is_broken(path: Path) -> bool:
    """Whether a file is part of a checkpoint; False for other formats."""
    with open(path, 'rb') as file:
        begin = file.read(2)
    known = b'PK'.startswith(begin) or b'\0\0'.startswith(begin)
    return known and not is_whole(path)


def find_start(note: Path, template: str) -> tuple[Optional[Path], list[Path]]:
    """Find the checkpoint to resume from, beside MMEngine's note.

    It is the one that the note names. If that is broken or absent, as after
    a kill while the note was written, it is the whole one that was written
    last; there may be later ones of an older training. Without a note nothing
    is resumed. Broken ones that were passed over are returned, too.
    """
    if not note.is_file():
        return None, []
    try:
        path = Path(note.read_text(errors='replace').strip())
        # By its present place: the folder may have been moved or copied.
        for place in (note.parent / path.name, path) if path.name else ():
            if _is_there(place):
                return place, []
    except (OSError, ValueError):  # no file name in it
        pass
    head, tail = map(re.escape, template.split('{}'))
    files = {}
    for path in note.parent.iterdir():
        match = re.fullmatch(rf'{head}(\d{{1,15}}){tail}', path.name)
        if match:
            files[path] = (path.stat().st_mtime_ns, int(match[1]))
    broken: list[Path] = []
    for path in sorted(files, key=files.__getitem__, reverse=True):
        if _is_there(path):
            return path, broken
        broken.append(path)
    return None, broken


def _is_there(path: Path) -> bool:
    # Those of DeepSpeed are folders, with checksums of their own.
    return path.is_dir() or (path.is_file() and not is_broken(path))


def check_resumable(path: Path) -> None:
    """Refuse to resume from a file without the state of a training.

    Raises:
        ConfigError: It is broken, or has weights alone: a ``best_*.pth``, a
            published model or a plain state dict.
    """
    if is_broken(path):
        raise ConfigError(
            f'--resume {path}: the file is cut off or damaged',
            'resume from another checkpoint of the folder',
        )
    try:
        state = torch.load(
            path, 'cpu', weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception:  # the runner loads it next and names the cause
        return
    lacking = [name for name in _STATE if name not in state]
    if lacking:
        raise ConfigError(
            f'--resume {path}: the file has no {", ".join(lacking)}, so '
            'optimizer and schedule would start anew',
            'resume from epoch_N.pth, or start a new training from its '
            'weights with --cfg-options load_from=FILE',
        )


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
        **kwargs: Arguments of ``CheckpointHook``, but for ``out_dir``,
            ``backend_args`` and ``file_client_args``: checkpoints go to the
            work directory.

    Raises:
        ConfigError: Another place; a checkpoint that cannot be resumed from;
            a work directory in use; an unknown ``save_best``.

    Example:
        >>> default_hooks = dict(
        ...     checkpoint=dict(type='SafeCheckpointHook', interval=1)
        ... )
    """

    def __init__(self, **kwargs) -> None:
        places = ('out_dir', 'backend_args', 'file_client_args')
        given = [name for name in places if kwargs.get(name)]
        if given:
            raise ConfigError(
                'SafeCheckpointHook: checkpoints go to the work directory, '
                f'got {", ".join(given)}',
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
        folder = Path(runner.work_dir)
        if is_main_process():
            self._take_lock(folder)
            for part in folder.glob('.*.part'):
                part.unlink(missing_ok=True)
            start, note = self._start, folder / NOTE
            if start and start.resolve().parent == folder.resolve():
                write_text(note, str(start))
            else:  # it names a checkpoint of an earlier training
                note.unlink(missing_ok=True)
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
        if not hasattr(self, 'file_backend'):
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

    def _take_lock(self, folder: Path) -> None:
        # A process may train again where an error ended its first training.
        self._lock = FileLock(folder / '.training.lock', is_singleton=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f'another training is running in {folder}',
                'wait for its end (after a kill its workers need some '
                'seconds), or choose another --work-dir',
            ) from None

    def _find_start(self, runner: Runner) -> Optional[Path]:
        note = Path(runner.work_dir, NOTE)
        start, broken = find_start(note, self.filename_tmpl)
        for path in broken:
            runner.logger.warning(
                f'{path} is broken and skipped; resuming from '
                f'{start.name if start else "the start"}'
            )
        if start is not None:
            write_text(note, str(start))
            return start
        others = note.parent.glob(self.filename_tmpl.format('*'))
        (runner.logger.warning if any(others) else runner.logger.info)(
            f'No whole checkpoint of this training in {runner.work_dir}: '
            'starting from the beginning. To resume from another one, use '
            '--resume FILE'
        )
        note.unlink(missing_ok=True)  # MMEngine would fail to load that
        return None

    def _find_best(self, runner: Runner) -> None:
        """Look up the best checkpoints so far; the folder may have moved.

        Those of another folder, from which a training is resumed, stay there:
        MMEngine would remove them in favour of a better one here.
        """
        hub = runner.message_hub
        for key, old in list(hub.runtime_info.items()):
            if not key.startswith('best_ckpt') or not old:
                continue
            path = Path(runner.work_dir, Path(old).name)
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
