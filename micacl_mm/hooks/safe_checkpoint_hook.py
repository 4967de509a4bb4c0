"""Checkpoints that outlast a kill at any moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner

from micacl_mm.hooks.atomic_backend import AtomicBackend, remove_parts
from micacl_mm.hooks.checkpoint_files import (
    NOTE,
    find_start,
    is_broken,
    is_there,
    newest_whole,
)
from micacl_mm.hooks.lost_validation import (
    make_up_for_validation,
    steps_done,
    validation_is_due,
)
from micacl_mm.hooks.resume_limits import resume_limits
from micacl_mm.registry import HOOKS
from micacl_mm.utils.files import write_text

#: Names in the message hub: the epoch (iteration) that was validated last,
#: and files that are to be removed.
_VALIDATED = 'validated'
_OUTDATED = 'outdated_ckpts'


class _PatientBackend(AtomicBackend):
    """Remembers what is to be removed, until the new files are whole."""

    def __init__(self) -> None:
        self.outdated: list[str] = []

    def remove(self, filepath: str) -> None:
        self.outdated.append(str(filepath))

    rmtree = remove


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Stores checkpoints so that a kill at any moment costs no more than time.

    As MMEngine's hook, and

    - a checkpoint is written beside its place and moved there when it is
      whole (:class:`~micacl_mm.hooks.atomic_backend.AtomicBackend`), and so
      is ``last_checkpoint``;
    - an old checkpoint, or an old best one, is removed only after the new
      ones are whole; MMEngine removes it before;
    - ``--resume`` takes the checkpoint that ``last_checkpoint`` names, or a
      whole one that was written after it, and names the broken ones that it
      passes over;
    - a validation that the kill has cut off is made up for. MMEngine goes on
      with the next epoch, and the best checkpoint may be another one;
    - where the disk is full, the error says how much room is needed, and the
      checkpoints from before are still there;
    - what a resumed training would not restore is named at the start
      (:func:`~micacl_mm.hooks.resume_limits.resume_limits`).

    Args:
        **kwargs: Arguments of ``CheckpointHook``. ``out_dir`` must be a
            local folder; ``backend_args`` and ``file_client_args`` cannot be
            given.

    Raises:
        ValueError: For another backend, and for a checkpoint to resume from
            that is broken.

    Example:
        >>> default_hooks = dict(
        ...     checkpoint=dict(type='SafeCheckpointHook', interval=1)
        ... )
    """

    def __init__(self, **kwargs) -> None:
        given = {'backend_args', 'file_client_args'} & kwargs.keys()
        if given or '://' in str(kwargs.get('out_dir', '')):
            raise ValueError(
                'SafeCheckpointHook: checkpoints must go to a local folder, '
                f'got {", ".join(sorted(given)) or kwargs["out_dir"]}; take '
                'CheckpointHook for other places'
            )
        super().__init__(**kwargs, backend_args=dict(backend='atomic'))

    def before_run(self, runner: Runner) -> None:
        """Find the checkpoint to resume from, before MMEngine looks."""
        # A test may run while a training writes into the same folder.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        if is_main_process():
            for folder in {Path(runner.work_dir), self._folder(runner)}:
                remove_parts(folder)
            if runner._resume and runner._load_from is None:
                self._find_start(runner)
            else:
                self._check_start(runner)
        barrier()

    def before_train(self, runner: Runner) -> None:
        """Remove what is outdated; make up for a lost validation."""
        super().before_train(runner)
        self.file_backend = _PatientBackend()
        hub = runner.message_hub
        for text in resume_limits(runner):
            runner.logger.warning(text)
        if runner.iter == 0:
            return
        self._check_best(runner)
        # Removals that the kill came before. By name: the folder may have
        # been moved.
        names = hub.runtime_info.get(_OUTDATED, ())
        self._remove(Path(self.out_dir, Path(name).name) for name in names)
        if validation_is_due(runner, hub.runtime_info.get(_VALIDATED)):
            make_up_for_validation(runner)

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[dict] = None
    ) -> None:
        """Store the best checkpoint, remove the old one."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a validation alone, of which nothing is stored
        runner.message_hub.update_info(_VALIDATED, steps_done(runner))
        with self._removing_last():
            super().after_val_epoch(runner, metrics)

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._removing_last():
            super()._save_checkpoint(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        name = self.filename_tmpl.format(step)
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                self.file_backend.remove(str(Path(self.out_dir, old)))
            self.keep_ckpt_ids.append(step)
            ids = list(self.keep_ckpt_ids)
            runner.message_hub.update_info('keep_ckpt_ids', ids)
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        outdated = list(self.file_backend.outdated)
        runner.message_hub.update_info(_OUTDATED, outdated)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            write_text(Path(runner.work_dir, NOTE), self.last_ckpt)

    @contextmanager
    def _removing_last(self) -> Iterator[None]:
        """Remove outdated files after the new ones, unless that fails."""
        self.file_backend.outdated = []
        yield
        self._remove(map(Path, self.file_backend.outdated))

    @staticmethod
    def _remove(paths: Iterator[Path]) -> None:
        if is_main_process():
            backend = AtomicBackend()
            for path in paths:
                if path.is_dir():
                    backend.rmtree(path)
                elif path.is_file():
                    backend.remove(path)

    def _find_start(self, runner: Runner) -> None:
        note, folder = Path(runner.work_dir, NOTE), self._folder(runner)
        start, broken = find_start(note, folder, self.filename_tmpl)
        for path in broken:
            runner.logger.warning(
                f'{path} is broken and passed over; going on from '
                f'{start.name if start else "the start"}'
            )
        if start is not None:
            write_text(note, str(start))
            return
        named = note.read_text(errors='replace') if note.is_file() else ''
        runner.logger.warning(
            f'--resume finds no checkpoint in {folder}'
            + (f', nor is {named} there and whole' if named else '')
            + ': the training STARTS ANEW'
        )
        note.unlink(missing_ok=True)  # MMEngine would fail to load that

    def _folder(self, runner: Runner) -> Path:
        if self.out_dir in (None, runner.work_dir):
            return Path(runner.work_dir)
        return Path(self.out_dir, Path(runner.work_dir).name)  # as MMEngine

    def _check_start(self, runner: Runner) -> None:
        """See that a start that was chosen is whole, and the newest."""
        path = Path(runner._load_from) if runner._resume else None
        # MMEngine has words for what is absent, torch for other formats.
        if path is not None and path.is_file() and is_broken(path):
            start, _ = newest_whole(path.parent, self.filename_tmpl)
            advice = f'take {start}' if start else 'train anew'
            raise ValueError(
                'SafeCheckpointHook: the checkpoint to resume from must be '
                f'whole, got {path}, which is cut off or damaged; {advice}'
            )
        note, folder = Path(runner.work_dir, NOTE), self._folder(runner)
        found, _ = find_start(note, folder, self.filename_tmpl)
        if found and not (path and path.exists() and found.samefile(path)):
            runner.logger.warning(
                f'{found} is there from before: until this training has '
                'stored a checkpoint of its own, --resume would go on from '
                'that; take another --work-dir to keep them apart'
            )

    def _check_best(self, runner: Runner) -> None:
        """Look up the best checkpoints so far; the folder may have moved."""
        for key, old in list(runner.message_hub.runtime_info.items()):
            if not key.startswith('best_ckpt') or not old:
                continue
            path = Path(self.out_dir, Path(old).name)
            if is_there(path):
                runner.message_hub.update_info(key, str(path))
                if key == 'best_ckpt':
                    self.best_ckpt_path = str(path)
                elif key[10:] in getattr(self, 'best_ckpt_path_dict', {}):
                    self.best_ckpt_path_dict[key[10:]] = str(path)
                continue
            runner.logger.warning(
                f'{path}, the best checkpoint so far, is gone or broken; a '
                'later epoch takes its place only where it is better: train '
                'anew if it must not be lost'
            )
