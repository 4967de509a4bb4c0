"""GPU, shared memory and disk, for what a training needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from .core import Case, Finding, check, shorten

_MIB, _GIB = 2**20, 2**30
_DOCKER = 64 * _MIB  # a container's default
_BUILDS = 'pytorch.org has the command'
_SHM = Path('/dev/shm')


@check('gpu')
def gpu(case: Case) -> Iterator[Finding]:
    """A GPU that torch can use."""
    if torch.cuda.is_available():
        yield from map(_gpu, range(torch.cuda.device_count()))
        return
    seen = driver_gpus()
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
    built = torch.version.cuda
    if not seen:
        yield Finding.passed('none, torch uses the CPU')
    elif hidden is not None and hidden.strip() in ('', '-1'):
        yield Finding.warned(
            f'{seen[0]} is hidden by CUDA_VISIBLE_DEVICES={hidden!r}',
            'unset CUDA_VISIBLE_DEVICES',
        )
    elif built is None:
        yield Finding.warned(
            f'{seen[0]} is not used: torch {torch.__version__} is built for '
            'the CPU',
            f'install a CUDA build of torch; {_BUILDS}',
        )
    else:
        yield Finding.failed(
            f'torch is built for CUDA {built} and cannot use {seen[0]}',
            f'update the driver, or install torch for an older CUDA; '
            f'{_BUILDS}',
        )


def driver_gpus() -> list[str]:
    """GPUs and driver that NVIDIA's tool names; none without it."""
    command = ['nvidia-smi', '--query-gpu=name,driver_version']
    try:
        done = subprocess.run(
            [*command, '--format=csv,noheader'],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = done.stdout.splitlines() if not done.returncode else []
    return [line.replace(', ', ' with driver ') for line in found]


def _gpu(index: int) -> Finding:
    name = torch.cuda.get_device_name(index)
    try:
        torch.ones(2, device=f'cuda:{index}').sum().item()
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return Finding.failed(
            f'{name} cannot compute: {shorten(error, 150)}',
            f'install a build of torch for this GPU; {_BUILDS}',
        )
    text = (
        f'{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free, CUDA '
        f'{torch.version.cuda}'
    )
    if free < total / 2:
        return Finding.warned(
            f'{text}: in use by others',
            'wait for them, or choose another one by CUDA_VISIBLE_DEVICES',
        )
    return Finding.passed(text)


@check('shared memory', 'samples')
def shared_memory(case: Case) -> Iterator[Finding]:
    """Batches that workers prefetch fit into /dev/shm."""
    if not _SHM.is_dir():
        yield Finding.skipped('this system has no /dev/shm')
        return
    need = 0
    for name in ('train', 'val'):  # a test is a run of its own
        loader, sample = case.loaders.get(name), case.samples.get(name)
        if loader is not None and loader.num_workers and sample is not None:
            batch = getattr(loader.batch_sampler, 'batch_size', 1)
            ahead = loader.prefetch_factor * loader.num_workers
            need += sample['inputs'].nbytes * batch * ahead
    total, _, free = shutil.disk_usage(_SHM)
    text = (
        f'/dev/shm has {_size(free)} free of {_size(total)}, prefetched '
        f'batches take {_size(need)}'
    )
    cure = 'start the container with --shm-size=16g, or use fewer workers'
    if need > free:
        yield Finding.failed(text, cure)
    elif total <= _DOCKER:
        yield Finding.warned(f'{text}: the default of a container', cure)
    else:
        yield Finding.passed(text)


@check('work folder', 'model')
def work_folder(case: Case) -> Iterator[Finding]:
    """Checkpoints can be written, and there is room for them."""
    folder = case.work_dir.expanduser().absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b'x')
    except OSError as error:
        yield Finding.failed(
            f'{folder} cannot be written: {error.strerror or error}',
            'choose another folder by --work-dir, or change its permissions',
        )
        return
    # Weights, the two moments of AdamW, and a copy of an EMA.
    weights = sum(p.nbytes for p in case.model.parameters())
    size = weights * (3 + (case.hook('EMAHook') is not None))
    hook = (case.config.get('default_hooks') or {}).get('checkpoint') or {}
    kept = int(hook.get('max_keep_ckpts', -1))
    if kept < 0:  # every one
        epochs = int((case.config.get('train_cfg') or {}).get('max_epochs', 1))
        kept = max(1, epochs // max(1, int(hook.get('interval', 1))))
    kept += 2  # the best one, and the next before one is removed
    free = shutil.disk_usage(there).free
    text = f'{_size(free)} free, {kept} checkpoints take {_size(size * kept)}'
    if size * kept > free:
        yield Finding.failed(
            text,
            'free some space, choose another --work-dir, or set '
            'default_hooks.checkpoint.max_keep_ckpts=1',
        )
    else:
        yield Finding.passed(text)


def _size(count: int) -> str:
    unit, name = (_GIB, 'GiB') if count >= _GIB else (_MIB, 'MiB')
    return f'{count / unit:.1f} {name}'
