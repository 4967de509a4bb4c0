"""The command line of kfold."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from micacl_mm.errors import ConfigError
from micacl_mm.options import (
    find_config,
    help_options,
    option,
    set_option,
    take_options,
)
from micacl_mm.records.record import public_path

from ..launch import add_adjustment

#: How the tested checkpoint is chosen.
RULES = {
    'val': 'best on the validation slice, cut from the training clips',
    'last': 'last epoch',
    'test': "best on the test split itself, the field's habit, which flatters",
}
#: Flags of the stock train tool, as settings of the config.
_FLAGS = {
    '--amp': [
        'optim_wrapper.type=AmpOptimWrapper',
        'optim_wrapper.loss_scale=dynamic',
    ],
    '--auto-scale-lr': ['auto_scale_lr.enable=True'],
    '--deterministic': ['randomness.deterministic=True'],
    '--no-validate': [
        f'val_{part}=None' for part in ('cfg', 'dataloader', 'evaluator')
    ],
}
_DESCRIPTION = """\
Train and test the folds and seeds of one config, and summarise them.

Interrupted in any way, the same command continues: finished runs are not run
again, an unfinished training is resumed."""
_EPILOG = f'Options of the data:\n{help_options()}'


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; data options go to the environment.

    Returns:
        argparse.Namespace: As of the parser, with ``rule``, which names what
        is tested: the selection, and adjusted logits.

    Raises:
        ConfigError: Options that contradict each other.
    """
    found = _parser().parse_args(take_options(arguments))
    found.config = find_config(found.config)
    fold = option('fold')
    folds = found.folds or ([] if fold is None else [fold])
    found.folds, found.seeds = sorted(set(folds)), sorted(set(found.seeds))
    if found.selection == 'test':
        _validate_on_test()
    if found.launcher == 'none' and (found.nproc or 1) > 1:
        raise ConfigError(
            f'--nproc {found.nproc} needs several processes',
            'add --launcher pytorch',
        )
    if found.nproc is None:
        many = found.launcher != 'none'
        found.nproc = max(1, torch.cuda.device_count()) if many else 1
    found.train_options = [s for part in found.train_options for s in part]
    found.work_dir = found.work_dir or _work_dir(found)
    tau = found.logit_adjust
    found.rule = found.selection + (f'_adjusted_{tau:g}' if tau else '')
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='micacl kfold',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', help='config file, or the name of a shipped one')
    add(
        '--folds',
        nargs='+',
        type=int,
        help='default: all of DFEW that have split files',
    )
    add('--seeds', nargs='+', type=int, default=[0], help='default: 0')
    add(
        '--selection',
        choices=list(RULES),
        default='val',
        help='; '.join(f'{name}: {text}' for name, text in RULES.items()),
    )
    add(
        '--name',
        help='method in the tables; default: as the config says, or its name',
    )
    add(
        '--work-dir',
        type=Path,
        help='default: below work_dirs/kfold, by the name of the config',
    )
    add('--jobs', type=_positive, default=1, help='runs at the same time')
    add('--launcher', choices=['none', 'pytorch'], default='none')
    add(
        '--nproc',
        type=_positive,
        help='processes of one run with --launcher pytorch; default: GPUs',
    )
    for name, settings in _FLAGS.items():
        add(
            name,
            dest='train_options',
            action='append_const',
            default=[],
            const=settings,
            help='as of micacl train',
        )
    add_adjustment(parser)
    add('--cfg-options', nargs='+', action='extend', default=[])
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {text!r}')
    return int(text)


def _validate_on_test() -> None:
    """Give no clip to a validation slice, so that test takes its place."""
    given = option('val_ratio')
    if given:
        raise ConfigError(
            f'--selection test trains on all clips, but --val-ratio is '
            f'{given}',
            'leave it out, or choose --selection val',
        )
    set_option('val_ratio', '0')


def _work_dir(found: argparse.Namespace) -> Path:
    """A folder of its own for what is trained differently."""
    place = Path(public_path(found.config)).with_suffix('')
    parts = [p for p in place.parts if p not in ('configs', '..', '.mim')]
    if found.name:
        parts[-1] = re.sub(r'[^\w.+-]+', '_', found.name)
    if found.selection == 'test':
        parts[-1] += '_chosen_on_test'
    chosen = option('set')
    if chosen:
        parts.insert(-1, chosen)
    return Path('work_dirs', 'kfold', *parts)
