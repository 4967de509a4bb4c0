"""Memory, files, cores and disk against what a training takes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import torch

from .. import facts
from ..case import Case, kind
from ..finding import Finding, failed, passed, skipped, warned
from ..registry import check

_MIB = 2**20
_DOCKER = 64 * _MIB  # a container's share, unless it is told another
_FEW_FILES = 1024  # the default of most systems
_OWN_FILES = 256  # of the process itself: libraries, logs, sockets
_MOMENTS = {'SGD': 2, 'Adam': 3, 'AdamW': 3}


@check('workers')
def workers(case: Case) -> Iterator[Finding]:
    """Worker processes against cores."""
    cores = facts.cores()
    asked = {n: int(o.get('num_workers', 0)) for n, o in case.loaders()}
    over = {name: count for name, count in asked.items() if count > cores}
    if over:
        listed = ', '.join(f'{name} {n}' for name, n in over.items())
        options = ' '.join(f'{n}_dataloader.num_workers={cores}' for n in over)
        yield warned(
            f'more worker processes than the {cores} cores: {listed}',
            f'--cfg-options {options}',
        )
    else:
        most = max(asked.values(), default=0)
        yield passed(f'{most} a loader for {cores} cores')


@check('shared memory')
def shared_memory(case: Case) -> Iterator[Finding]:
    """Batches that wait lie in /dev/shm."""
    there = facts.shared_memory()
    if there is None:
        yield skipped('this system has no /dev/shm')
        return
    total, free = there
    text = f'/dev/shm has {_size(free)} free of {_size(total)}'
    need = sum(_waiting(case, _bytes))
    cure = 'start the container with --shm-size=16g, or use fewer workers'
    if need > free:
        yield failed(f'{text}, batches that wait take {_size(need)}', cure)
    elif total <= _DOCKER:
        yield warned(f'{text}, the default of a container', cure)
    else:
        known = f', batches that wait take {_size(need)}' if need else ''
        yield passed(text + known)


def _waiting(case: Case, measure: Any) -> Iterator[int]:
    """A measure of all samples that wait at once, by loader.

    Workers that persist keep theirs while the other loader is at work. A
    worker makes ``prefetch_factor`` batches ahead.
    """
    for name, loader in case.loaders():
        count = int(loader.get('num_workers', 0))
        sample = case.samples.get(name)
        # A test is a run of its own, with the workers of validation at most.
        if sample is None or not count or name == 'test':
            continue
        ahead = int(loader.get('prefetch_factor') or 2) * count
        yield measure(sample) * int(loader.get('batch_size', 1)) * ahead


def _bytes(sample: dict) -> int:
    return sum(t.numel() * t.element_size() for t in _tensors(sample))


def _count(sample: dict) -> int:
    return sum(1 for _ in _tensors(sample))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, 'all_items'):  # MMEngine's data elements
        for _, part in value.all_items():
            yield from _tensors(part)


@check('open files')
def open_files(case: Case) -> Iterator[Finding]:
    """A tensor that waits is an open file."""
    limit = facts.open_files()
    if limit is None:
        yield skipped('this system sets no limit')
        return
    need = sum(_waiting(case, _count))
    if need and need + _OWN_FILES > limit:
        yield warned(
            f'{limit} may be open, {need} tensors of batches may wait',
            f'ulimit -n {_round(need + _OWN_FILES)}',
        )
    elif not need and limit < _FEW_FILES:
        yield warned(f'{limit} may be open', 'ulimit -n 4096')
    else:
        known = f', at most {need} tensors wait' if need else ''
        yield passed(f'{limit} may be open{known}')


def _round(count: int) -> int:
    return 1 << (count - 1).bit_length()


@check('work folder')
def work_folder(case: Case) -> Iterator[Finding]:
    """Results can be written."""
    folder = facts.existing(case.work_dir)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'x')
    except OSError as error:
        yield failed(
            f'{case.work_dir} cannot be written: {error.strerror or error}',
            'choose another folder by --work-dir, or mend its rights',
        )
    else:
        yield passed(f'{case.work_dir} can be written')


@check('disk')
def disk(case: Case) -> Iterator[Finding]:
    """Checkpoints find place."""
    free = facts.free_disk(case.work_dir)
    text = f'{_size(free)} free'
    if case.model is None:
        if free < 2**30:
            yield warned(text, 'make room, or choose another --work-dir')
        else:
            yield passed(text)
        return
    size, kept = _checkpoint_bytes(case), _kept(case)
    need = size * kept
    text += f', {kept} checkpoints of {_size(size)} take {_size(need)}'
    if need > free:
        yield failed(
            text,
            'make room, choose another --work-dir, or set '
            'default_hooks.checkpoint.max_keep_ckpts=1',
        )
    else:
        yield passed(text)


def _checkpoint_bytes(case: Case) -> int:
    """Weights, the optimizer's moments of each, and buffers."""
    settings = case.config.get('optim_wrapper') or {}
    times = _MOMENTS.get(kind(settings.get('optimizer')), 3)

    def size(tensors: Any) -> int:
        return sum(t.numel() * t.element_size() for t in tensors)

    parameters = size(case.model.parameters())
    hooks = case.config.get('custom_hooks') or []
    if 'EMAHook' in map(kind, hooks):
        times += 1
    return parameters * times + size(case.model.buffers())


def _kept(case: Case) -> int:
    """Checkpoints that lie on the disk at once, at most."""
    hooks = case.config.get('default_hooks') or {}
    hook = hooks.get('checkpoint') or {}
    keep = int(hook.get('max_keep_ckpts', -1))
    if keep < 0:  # every one
        epochs = int((case.config.get('train_cfg') or {}).get('max_epochs', 1))
        keep = max(1, epochs // max(1, int(hook.get('interval', 1))))
    best = hook.get('save_best') or []
    best = [best] if isinstance(best, str) else best
    return keep + len(best) + 1  # the next is written before one goes


def _size(count: int) -> str:
    for unit, name in ((2**30, 'GiB'), (_MIB, 'MiB')):
        if count >= unit:
            return f'{count / unit:.1f} {name}'
    return f'{count} bytes'
