"""Start the stock MMAction2 tools on our configs.

The data options (``--data-root``, ``--fold``, ...) are those of
:mod:`micacl_mm.options`: checked here, handed on in the environment, and read
by the config with ``option('fold', 1)``.
"""

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from micacl_mm.errors import ConfigError, MissingFileError
from micacl_mm.options import (
    find_config,
    help_options,
    nearest,
    option,
    package_folders,
    take_options,
)

from . import asks_for_help

if TYPE_CHECKING:  # help does without the stack
    from mmengine.config import Config

#: Options of the stock train and test tools that take one value.
_VALUED = (
    *('--work-dir', '--seed', '--launcher', '--local_rank', '--local-rank'),
    *('--dump', '--show-dir', '--interval', '--wait-time'),
)


def limit_threads() -> None:
    """Use half of the cores unless the user has said otherwise.

    With any other load, as many OpenMP threads as cores make 3-D convolutions
    on the CPU ten times slower and more.
    """
    if 'OMP_NUM_THREADS' in os.environ:
        return
    import torch

    from micacl_mm.utils.workers import count_cores

    threads = max(1, count_cores() // 2)
    os.environ['OMP_NUM_THREADS'] = str(threads)
    torch.set_num_threads(threads)


def stock_tool(name: str) -> Path:
    """Find a tool of the installed MMAction2, e.g. ``'train'``."""
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
    raise MissingFileError(
        f'MMAction2 has no tool {name!r}',
        f'try one of: {", ".join(nearest(name, known))}',
    )


def check_checkpoint(path: str) -> None:
    """Check that a checkpoint is there, or a URL."""
    if '://' in path or Path(path).exists():
        return
    beside = sorted(map(str, Path(path).parent.glob('*.pth')))
    raise MissingFileError(
        f'there is no checkpoint {path}',
        f'try one of: {", ".join(nearest(path, beside))}'
        if beside
        else 'name a .pth file of a training',
    )


def parse_stock(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what is needed here of a stock train or test command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('config', nargs='?')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--resume', nargs='?')
    parser.add_argument('--cfg-options', nargs='+', action='append')
    for name in _VALUED:
        parser.add_argument(name)
    return parser.parse_known_args(arguments)[0]


def complete(name: str, arguments: Sequence[str]) -> list[str]:
    """Look up config and checkpoint, and put our defaults in front.

    ``train`` gets ``--seed 0``, and each fold, set and subset a work
    directory of its own. The stock parser takes the last of two, so that the
    user's options win.
    """
    given, arguments = parse_stock(arguments), list(arguments)
    defaults = ['--seed', '0'] if name == 'train' else []
    if given.config:
        config = find_config(given.config)
        # Another argument may be called like it, such as the work directory.
        found = (
            [*arguments[:i], config, *arguments[i + 1 :]]
            for i, argument in enumerate(arguments)
            if argument == given.config
        )
        arguments = next(a for a in found if parse_stock(a).config == config)
        parts = [
            f'{key}{value}'.removeprefix('set')
            for key in ('set', 'fold', 'subset')
            if (value := option(key)) is not None
        ]
        if parts:
            work_dir = Path('work_dirs', Path(config).stem, *parts)
            defaults += ['--work-dir', str(work_dir)]
    if given.checkpoint:
        check_checkpoint(given.checkpoint)
    return [*defaults, *arguments]


def prepare_cpu_ranks(arguments: Sequence[str]) -> list[str]:
    """Let ``--launcher pytorch`` run without a GPU.

    MMEngine selects a CUDA device when it joins the process group and again
    when it wraps the model. So the group is joined here, with gloo, and the
    wrapper is told to use no device. With GPUs all is left to MMEngine.
    """
    import torch

    launcher = parse_stock(arguments).launcher
    if launcher != 'pytorch' or torch.cuda.is_available():
        return list(arguments)
    torch.distributed.init_process_group('gloo')
    return [
        *arguments,
        '--cfg-options',  # a second one adds to the first
        'model_wrapper_cfg.type=MMDistributedDataParallel',
        'model_wrapper_cfg.device_ids=None',
        'model_wrapper_cfg.broadcast_buffers=False',
    ]


def _without_idle_workers(arguments: Sequence[str]) -> list[str]:
    """PyTorch refuses ``num_workers=0`` with persistent workers."""
    found = []
    for token in arguments:
        found.append(token)
        loader, none, _ = token.partition('.num_workers=0')
        if none and token.endswith(none):
            found.append(f'{loader}.persistent_workers=False')
    return found


def read_config(path: str, settings: Sequence[str]) -> 'Config':
    """Read a config as the stock tools do with ``--cfg-options``."""
    from mmengine.config import Config, DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument('--settings', nargs='*', action=DictAction)
    found = parser.parse_args(['--settings', *settings]).settings
    config = Config.fromfile(path)
    config.merge_from_dict(found or {})
    return config


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


def run_tool(name: str, arguments: Sequence[str]) -> int:
    """Run a stock tool as if it had been called itself; 0."""
    path = stock_tool(name)
    name = name.removesuffix('.py')
    ours, help_asked = name in ('train', 'test'), asks_for_help(arguments)
    if ours and help_asked:
        print(f'options of micacl_mm:\n{help_options()}\n\nstock options:')
    # Some tools for annotations have options of these names themselves.
    elif ours or any(argument.endswith('.py') for argument in arguments):
        arguments = take_options(arguments)
    limit_threads()
    if ours and not help_asked:
        arguments = prepare_cpu_ranks(complete(name, arguments))
    sys.argv = [str(path), *_without_idle_workers(arguments)]
    try:
        runpy.run_path(str(path), run_name='__main__')
    except AssertionError as error:
        if 'epoch_length' not in str(error):  # by MMEngine's schedulers
            raise
        raise ConfigError(
            'the training clips do not fill one batch, and drop_last drops it',
            '--cfg-options train_dataloader.drop_last=False, or a smaller '
            'train_dataloader.batch_size',
        ) from None
    import torch

    if torch.distributed.is_initialized():
        # Leave together: gloo aborts a rank whose peer is gone already.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return 0
