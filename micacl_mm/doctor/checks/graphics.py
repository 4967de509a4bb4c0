"""GPU and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import torch

from .. import facts
from ..case import Case
from ..finding import Finding, failed, passed, shorten, warned
from ..registry import check

_GIB = 2**30
_BUILDS = 'pytorch.org names the command'


@check('gpu')
def gpu(case: Case) -> Iterator[Finding]:
    """A GPU that torch can compute on."""
    if torch.cuda.is_available():
        yield from map(_one, range(torch.cuda.device_count()))
        return
    seen = facts.gpus()
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
    built = torch.version.cuda
    if not seen:
        yield passed('none, torch computes on the CPU')
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


def _one(index: int) -> Finding:
    name = torch.cuda.get_device_name(index)
    try:
        torch.ones(2, device=f'cuda:{index}').sum().item()
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return failed(
            f'{name} cannot compute: {shorten(error, 150)}',
            f'install a build of torch that knows this GPU; {_BUILDS}',
        )
    text = (
        f'{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free, CUDA '
        f'{torch.version.cuda}'
    )
    if free < total / 2:
        return warned(
            f'{text}: others use it',
            'wait for them, or choose another one by CUDA_VISIBLE_DEVICES',
        )
    return passed(text)


@check('threads')
def threads(case: Case) -> Iterator[Finding]:
    """OpenMP threads against cores."""
    given, cores = facts.omp_threads(), facts.cores()
    if not given:
        half = max(1, cores // 2)
        yield passed(f'our tools set OMP_NUM_THREADS to {half} of {cores}')
    elif given.isdecimal() and 1 <= int(given) <= cores:
        yield passed(f'OMP_NUM_THREADS={given} of {cores} cores')
    else:
        yield warned(
            f'OMP_NUM_THREADS={given} with {cores} cores makes convolutions '
            'on the CPU many times slower',
            f'export OMP_NUM_THREADS={max(1, cores // 2)}',
        )
