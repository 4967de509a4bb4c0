"""Start the stock MMAction2 tools on our configs."""

import argparse
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

import torch

from micacl_mm.records.machine import count_cores

#: Options of ours -> environment variables that the configs read.
OPTIONS = {
    'data_root': ('MICACL_DATA_ROOT', 'folder of the data set'),
    'fold': ('MICACL_FOLD', 'fold of DFEW, 1 to 5'),
    'subset': ('MICACL_SUBSET', 'FERV39k: all, a scene or a scenario'),
    'source': ('MICACL_SOURCE', "'frames' or 'videos'"),
    'missing': ('MICACL_MISSING', "absent clips: 'raise' or 'drop'"),
    'clip_root': ('MICACL_CLIP_ROOT', 'folder of clips to use'),
    'pack': ('MICACL_PACK', 'file of packed frames, see docs/packs.md'),
    'val_ratio': (
        'MICACL_VAL_RATIO',
        'share of the training clips to choose checkpoints on; 0 chooses on '
        'the test split',
    ),
    'test_ratio': (
        'MICACL_TEST_RATIO',
        'own classes: share of the clips to test on',
    ),
    'classes': (
        'MICACL_CLASSES',
        'own classes in the order of their labels, with commas',
    ),
    'group_pattern': (
        'MICACL_GROUP_PATTERN',
        "own classes: regular expression for the person in a clip's name",
    ),
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
        FileNotFoundError: There is no such tool; the message names others.
    """
    package = Path(find_spec('mmaction').submodule_search_locations[0])
    # A wheel carries the tools in .mim, a git checkout beside the package.
    folders = [package / '.mim' / 'tools', package.parent / 'tools']
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
    raise FileNotFoundError(
        f'MMAction2 has no tool {name!r}; try one of: {", ".join(near)}'
    )


def prepare_cpu_ranks(arguments: Sequence[str]) -> list[str]:
    """Let ``--launcher pytorch`` and ``slurm`` run without a GPU.

    MMEngine selects a CUDA device when it joins the process group and again
    when it wraps the model. So the group is joined here, with gloo, and the
    wrapper is told to use no device. With GPUs all is left to MMEngine.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--launcher', default='none')
    launcher = parser.parse_known_args(arguments)[0].launcher
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


def _name_slurm_ranks() -> None:
    """Tell torch what slurm says, under the names that MMEngine uses, too."""
    environment = os.environ
    for ours, slurms in (
        ('RANK', 'SLURM_PROCID'),
        ('WORLD_SIZE', 'SLURM_NTASKS'),
        ('LOCAL_RANK', 'SLURM_LOCALID'),
    ):
        if slurms not in environment:
            sys.exit(
                f'--launcher slurm: {slurms} is not set; start the ranks with '
                'srun, as tools/slurm_train.sh does'
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
            sys.exit(
                '--launcher slurm: scontrol does not name the first node '
                f'({error}); set MASTER_ADDR to its name'
            )


def take_options(arguments: Sequence[str]) -> list[str]:
    """Export our options and return the arguments that remain.

    What follows an option of ours and its value is positional and goes to
    the front: it must not fall to an option before, now its neighbour.
    """
    flags = {f'--{name.replace("_", "-")}': name for name in OPTIONS}
    front, rest, positional = [], [], True
    tokens = iter(arguments)
    for token in tokens:
        flag, equals, value = token.partition('=')
        if flag in flags:
            value = value if equals else next(tokens, '')
            if not value:
                sys.exit(f'{flag} needs a value: {OPTIONS[flags[flag]][1]}')
            os.environ[OPTIONS[flags[flag]][0]] = value
            positional = True
        elif positional and not token.startswith('-'):
            front.append(token)
        else:
            rest.append(token)
            positional = False
    return front + rest


def add_adjustment(parser: argparse.ArgumentParser) -> None:
    """Add the options of post-hoc logit adjustment to a command."""
    parser.add_argument(
        '--logit-adjust',
        type=float,
        metavar='TAU',
        help='subtract TAU x log(share of the class) from the logits; for '
        'models trained without such an answer to the tail. Choose TAU '
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


def print_options() -> None:
    """Print the help of our options, above that of the stock tool."""
    print('options of micacl_mm, each also to be set in the environment:')
    for name, (variable, text) in OPTIONS.items():
        print(f'  --{name.replace("_", "-"):<10} {text} ({variable})')
    print(
        '  --logit-adjust TAU, --class-counts N ... (test only) post-hoc '
        'logit adjustment\n\noptions of the stock tool:'
    )


def default_options(name: str, arguments: Sequence[str]) -> list[str]:
    """Put our defaults in front of the arguments, where the user's win."""
    defaults = ['--seed', '0'] if name == 'train' else []
    part = [
        f'{option}{os.environ[OPTIONS[option][0]]}'
        for option in ('fold', 'subset')
        if OPTIONS[option][0] in os.environ
    ]
    configs = [a for a in arguments if a.endswith('.py')]
    if part and configs:
        work_dir = Path('work_dirs', Path(configs[0]).stem, *part)
        defaults += ['--work-dir', str(work_dir)]
    return [*defaults, *arguments]


def run_tool(name: str, arguments: Optional[Sequence[str]] = None) -> None:
    """Run a stock tool as if it had been called itself.

    ``train`` gets ``--seed 0`` unless a seed is given, and each fold and
    subset has a work directory of its own unless ``--work-dir`` is given.

    Args:
        name (str): Path below MMAction2's tools folder; ``.py`` may go.
        arguments (Sequence[str], optional): Its command line. Defaults to
            None, that of this process.
    """
    import micacl_mm  # noqa: F401  registers everything, applies the cures

    path = stock_tool(name)
    name = name.removesuffix('.py')
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    ours = name in ('train', 'test')
    if ours and not {'-h', '--help'}.isdisjoint(arguments):
        print_options()
    # Some tools for annotations have options of these names themselves.
    if ours or any(argument.endswith('.py') for argument in arguments):
        arguments = take_options(arguments)
    if name == 'test':
        arguments = adjust_test(arguments)
    limit_threads()
    if ours:
        arguments = prepare_cpu_ranks(default_options(name, arguments))
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name='__main__')
    if torch.distributed.is_initialized():
        # Leave together: gloo aborts a rank whose peer is gone already.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
