"""Start the stock MMAction2 tools on our configs.

The data options (``--data-root``, ``--fold``, ...) are those of
:mod:`micacl_mm.options`: checked here, handed on in the environment, and read
by the config with ``option('fold', 1)``.
"""

import argparse
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import torch
from mmengine.runner import Runner

from micacl_mm.errors import ConfigError, MissingFileError
from micacl_mm.hooks.consistency_hook import empty_epoch
from micacl_mm.options import (
    find_config,
    help_options,
    option,
    package_folders,
    take_options,
)
from micacl_mm.records.machine import count_cores

#: Options of the stock train and test tools that take one value.
_VALUED = {
    *('--work-dir', '--resume', '--seed', '--launcher', '--local_rank'),
    *('--local-rank', '--dump', '--show-dir', '--interval', '--wait-time'),
}


def limit_threads() -> None:
    """Use half of the cores unless the user has said otherwise.

    With any other load, as many OpenMP threads as cores make 3-D convolutions
    on the CPU ten times slower and more.
    """
    if 'OMP_NUM_THREADS' in os.environ:
        return
    threads = max(1, count_cores() // 2)
    os.environ['OMP_NUM_THREADS'] = str(threads)
    torch.set_num_threads(threads)


def stock_tool(name: str) -> Path:
    """Find a tool of the installed MMAction2, e.g. ``'train'``.

    Raises:
        MissingFileError: There is no such tool; the message names others.
    """
    folders = package_folders('mmaction', 'tools')
    for folder in folders:
        path = folder / f'{name.removesuffix(".py")}.py'
        if path.is_file():
            return path
    known = [
        path.relative_to(folder).with_suffix('').as_posix()
        for folder in folders
        for path in sorted(folder.rglob('*.py'))
    ]
    stem = Path(name).stem
    near = [tool for tool in known if stem in tool] or [
        tool for tool in known if not tool.startswith('data/')
    ]
    raise MissingFileError(
        f'MMAction2 has no tool {name!r}', f'try one of: {", ".join(near)}'
    )


def find_files(arguments: Sequence[str]) -> list[str]:
    """Look up the config, and see that the checkpoint of a test is there.

    Args:
        arguments (Sequence[str]): Of the stock train or test tool.

    Returns:
        list[str]: with the path of the config where its name stands.

    Raises:
        MissingFileError: There is no such config or checkpoint.
    """
    found, before, several, config = list(arguments), '', False, None
    for i, token in enumerate(arguments):
        if token.startswith('-'):
            several = token.partition('=')[0] == '--cfg-options'
        elif several or before in _VALUED:
            pass
        elif config is None:
            config = found[i] = find_config(token)
        elif '://' not in token and not Path(token).exists():
            raise MissingFileError(
                f'there is no checkpoint {token}',
                'name a .pth file of a training',
            )
        before = token
    return found


def prepare_cpu_ranks(arguments: Sequence[str]) -> list[str]:
    """Let ``--launcher pytorch`` and ``slurm`` run without a GPU.

    MMEngine selects a CUDA device when it joins the process group and again
    when it wraps the model. So the group is joined here, with gloo, and the
    wrapper is told to use no device. With GPUs all is left to MMEngine.
    """
    launcher = _given(arguments, '--launcher', 'none')
    if launcher not in ('pytorch', 'slurm') or torch.cuda.is_available():
        return list(arguments)
    if launcher == 'slurm':
        _name_slurm_ranks()
    torch.distributed.init_process_group('gloo')
    return [
        *arguments,
        '--cfg-options',  # a second one adds to the first
        'model_wrapper_cfg.type=MMDistributedDataParallel',
        'model_wrapper_cfg.device_ids=None',
        'model_wrapper_cfg.broadcast_buffers=False',
    ]


def _given(arguments: Sequence[str], name: str, default: str) -> str:
    """Value of an option of the stock tool."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, default=default, dest='value')
    return parser.parse_known_args(arguments)[0].value


def _without_idle_workers(arguments: Sequence[str]) -> list[str]:
    """PyTorch refuses ``num_workers=0`` with persistent workers."""
    found = []
    for token in arguments:
        found.append(token)
        loader, none, _ = token.partition('.num_workers=0')
        if none and token.endswith(none):
            found.append(f'{loader}.persistent_workers=False')
    return found


def _explain_empty_epoch(error: AssertionError) -> None:
    """Raise a clear error where MMEngine asserts that epochs have batches."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        runner = frame.f_locals.get('self')
        if 'epoch_length' in str(error) and isinstance(runner, Runner):
            raise empty_epoch(runner.train_dataloader) from None


def _name_slurm_ranks() -> None:
    """Set torch's variables of the process group from slurm's."""
    environment = os.environ
    for ours, slurms in (
        ('RANK', 'SLURM_PROCID'),
        ('WORLD_SIZE', 'SLURM_NTASKS'),
        ('LOCAL_RANK', 'SLURM_LOCALID'),
    ):
        if slurms not in environment:
            raise ConfigError(
                f'--launcher slurm: {slurms} is not set',
                'start the ranks with srun, as tools/slurm_train.sh does',
            )
        environment[ours] = environment[slurms]
    environment.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in environment:
        names = environment.get('SLURM_NODELIST', '')
        try:
            nodes = subprocess.run(
                ['scontrol', 'show', 'hostnames', names],
                capture_output=True,
                check=True,
                text=True,
            )
            environment['MASTER_ADDR'] = nodes.stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            raise ConfigError(
                '--launcher slurm: scontrol does not name the first node '
                f'({error})',
                'set MASTER_ADDR to its name',
            ) from None


def add_adjustment(parser: argparse.ArgumentParser) -> None:
    """Add the options of post-hoc logit adjustment to a command."""
    parser.add_argument(
        '--logit-adjust',
        type=float,
        metavar='TAU',
        help='subtract TAU x log(share of the class) from the logits; for '
        'models trained without a correction for class frequency. Choose TAU '
        'before the test, never by it: 1 is the usual one',
    )
    parser.add_argument(
        '--class-counts',
        type=int,
        nargs='+',
        metavar='N',
        help='training clips of each class, where the checkpoint does not '
        'tell them',
    )


def adjust_test(arguments: Sequence[str]) -> list[str]:
    """Turn the options of logit adjustment into those of the stock test."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_adjustment(parser)
    found, rest = parser.parse_known_args(arguments)
    return rest + adjustment_settings(found.logit_adjust, found.class_counts)


def adjustment_settings(
    tau: Optional[float], class_counts: Optional[Sequence[int]]
) -> list[str]:
    """Arguments that add a ``LogitAdjustmentHook`` to a test."""
    if tau is None:
        return []
    name = 'default_hooks.logit_adjustment'
    counts = [f'{name}.class_counts={class_counts}'] if class_counts else []
    return [
        '--cfg-options',
        f'{name}.type=LogitAdjustmentHook',
        f'{name}.tau={tau}',
        *(text.replace(' ', '') for text in counts),
    ]


def default_options(name: str, arguments: Sequence[str]) -> list[str]:
    """Put our defaults in front of the arguments, where the user's win."""
    defaults = ['--seed', '0'] if name == 'train' else []
    part = [
        f'{key}{value}'.removeprefix('set')
        for key in ('set', 'fold', 'subset')
        if (value := option(key)) is not None
    ]
    configs = [a for a in arguments if a.endswith('.py')]
    if part and configs:
        work_dir = Path('work_dirs', Path(configs[0]).stem, *part)
        defaults += ['--work-dir', str(work_dir)]
    return [*defaults, *arguments]


def run_tool(name: str, arguments: Sequence[str]) -> int:
    """Run a stock tool as if it had been called itself.

    ``train`` gets ``--seed 0`` unless a seed is given, and each fold and
    subset has a work directory of its own unless ``--work-dir`` is given.

    Args:
        name (str): Path below MMAction2's tools folder; ``.py`` may go.
        arguments (Sequence[str]): Its command line.

    Returns:
        int: exit code, 0.
    """
    path = stock_tool(name)
    name = name.removesuffix('.py')
    ours = name in ('train', 'test')
    help_asked = not {'-h', '--help'}.isdisjoint(arguments)
    if ours and help_asked:
        print(f'options of micacl_mm:\n{help_options()}\n\nstock options:')
    # Some tools for annotations have options of these names themselves.
    elif ours or any(argument.endswith('.py') for argument in arguments):
        arguments = take_options(arguments)
    limit_threads()
    if ours and not help_asked:
        arguments = default_options(name, find_files(arguments))
        arguments = prepare_cpu_ranks(arguments)
    sys.argv = [str(path), *_without_idle_workers(arguments)]
    try:
        runpy.run_path(str(path), run_name='__main__')
    except AssertionError as error:
        _explain_empty_epoch(error)
        raise
    if torch.distributed.is_initialized():
        # Leave together: gloo aborts a rank whose peer is gone already.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return 0
