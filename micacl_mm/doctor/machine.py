"""GPU, cores, shared memory and disk, for what a training needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import torch

from . import facts
from .core import (
    Case,
    Finding,
    check,
    failed,
    kind,
    passed,
    shorten,
    skipped,
    warned,
)

_MIB, _GIB = 2**20, 2**30
_DOCKER = 64 * _MIB  # a container's default
_MOMENTS = {'SGD': 2, 'Adam': 3, 'AdamW': 3}
_BUILDS = 'pytorch.org has the command'


@check('gpu')
def gpu(case: Case) -> Iterator[Finding]:
    """A GPU that torch can use."""
    if torch.cuda.is_available():
        yield from map(_gpu, range(torch.cuda.device_count()))
        return
    seen = facts.gpus()
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
    built = torch.version.cuda
    if not seen:
        yield passed('none, torch uses the CPU')
    elif hidden is not None and hidden.strip() in ('', '-1'):
        yield warned(
            f'{seen[0].name} is hidden by CUDA_VISIBLE_DEVICES={hidden!r}',
            'unset CUDA_VISIBLE_DEVICES',
        )
    elif built is None:
        yield warned(
            f'{seen[0].name} is not used: torch {torch.__version__} is built '
            'for the CPU',
            f'install a CUDA build of torch; {_BUILDS}',
        )
    else:
        yield failed(
            f'torch is built for CUDA {built} and cannot use '
            f'{seen[0].name} with driver {seen[0].driver}',
            f'update the driver, or install torch for an older CUDA; '
            f'{_BUILDS}',
        )


def _gpu(index: int) -> Finding:
    name = torch.cuda.get_device_name(index)
    try:
        torch.ones(2, device=f'cuda:{index}').sum().item()
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return failed(
            f'{name} cannot compute: {shorten(error, 150)}',
            f'install a build of torch for this GPU; {_BUILDS}',
        )
    text = (
        f'{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free, CUDA '
        f'{torch.version.cuda}'
    )
    if free < total / 2:
        return warned(
            f'{text}: in use by others',
            'wait for them, or choose another one by CUDA_VISIBLE_DEVICES',
        )
    return passed(text)


@check('threads')
def threads(case: Case) -> Iterator[Finding]:
    """OpenMP threads and worker processes against cores."""
    given, cores = facts.omp_threads(), facts.cores()
    if given and not (given.isdecimal() and 1 <= int(given) <= cores):
        yield warned(
            f'OMP_NUM_THREADS={given} with {cores} cores makes convolutions '
            'on the CPU many times slower',
            f'export OMP_NUM_THREADS={max(1, cores // 2)}',
        )
    else:
        yield passed(
            f'OMP_NUM_THREADS={given or max(1, cores // 2)}, {cores} cores'
        )


@check('work folder')
def work_folder(case: Case) -> Iterator[Finding]:
    """Results can be written."""
    try:
        with tempfile.TemporaryFile(dir=facts.existing(case.work_dir)) as file:
            file.write(b'x')
    except OSError as error:
        yield failed(
            f'{case.work_dir} cannot be written: {error.strerror or error}',
            'choose another folder by --work-dir, or change its permissions',
        )
    else:
        yield passed(f'{case.work_dir} can be written')


@check('workers', 'samples')
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
        yield passed(f'{most} per loader, {cores} cores')


@check('shared memory', 'samples')
def shared_memory(case: Case) -> Iterator[Finding]:
    """Batches that workers prefetch fit into /dev/shm."""
    there = facts.shared_memory()
    if there is None:
        yield skipped('this system has no /dev/shm')
        return
    total, free = there
    need = sum(_prefetched(case))
    text = (
        f'/dev/shm has {_size(free)} free of {_size(total)}, prefetched '
        f'batches take {_size(need)}'
    )
    cure = 'start the container with --shm-size=16g, or use fewer workers'
    if need > free:
        yield failed(text, cure)
    elif total <= _DOCKER:
        yield warned(f'{text}: the default of a container', cure)
    else:
        yield passed(text)


def _prefetched(case: Case) -> Iterator[int]:
    """Bytes of the batches that wait at once, by loader.

    A worker makes ``prefetch_factor`` batches ahead, and persistent ones keep
    theirs while the other loader works. A test is a run of its own.
    """
    for name, loader in case.loaders():
        count = int(loader.get('num_workers', 0))
        sample = case.samples.get(name)
        if sample is not None and count and name != 'test':
            ahead = int(loader.get('prefetch_factor') or 2) * count
            size = sample['inputs'].nbytes
            yield size * int(loader.get('batch_size', 1)) * ahead


@check('disk', 'model')
def disk(case: Case) -> Iterator[Finding]:
    """There is room for the checkpoints."""
    free = facts.free_disk(case.work_dir)
    size, kept = _checkpoint_bytes(case), _kept(case)
    text = (
        f'{_size(free)} free, {kept} checkpoints of {_size(size)} take '
        f'{_size(size * kept)}'
    )
    if size * kept > free:
        yield failed(
            text,
            'free some space, choose another --work-dir, or set '
            'default_hooks.checkpoint.max_keep_ckpts=1',
        )
    else:
        yield passed(text)


def _checkpoint_bytes(case: Case) -> int:
    """Weights, the optimizer's moments of each, and buffers."""
    settings = case.config.get('optim_wrapper') or {}
    times = _MOMENTS.get(kind(settings.get('optimizer')), 3)

    def size(tensors: Any) -> int:
        return sum(t.nbytes for t in tensors)

    times += case.hook('EMAHook') is not None
    model = case.model
    return size(model.parameters()) * times + size(model.buffers())


def _kept(case: Case) -> int:
    """Most checkpoints on the disk at once."""
    hook = (case.config.get('default_hooks') or {}).get('checkpoint') or {}
    keep = int(hook.get('max_keep_ckpts', -1))
    if keep < 0:  # every one
        epochs = int((case.config.get('train_cfg') or {}).get('max_epochs', 1))
        keep = max(1, epochs // max(1, int(hook.get('interval', 1))))
    best = hook.get('save_best') or []
    best = [best] if isinstance(best, str) else best
    return keep + len(best) + 1  # the next is written before one is removed


def _size(count: int) -> str:
    for unit, name in ((_GIB, 'GiB'), (_MIB, 'MiB')):
        if count >= unit:
            return f'{count / unit:.1f} {name}'
    return f'{count} bytes'
