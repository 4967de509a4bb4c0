"""Train and test the folds and seeds of one config, and summarise them.

Interrupted in any way, the same command continues: finished runs are not run
again, an unfinished training is resumed. Several commands may share a work
directory, each with its own --folds or --seeds.
"""

import argparse
import json
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from micacl_mm.errors import ConfigError
from micacl_mm.options import (
    find_config,
    help_options,
    option,
    set_option,
    take_options,
)
from micacl_mm.utils.files import write_text

from . import make_parser
from .launch import add_adjustment

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


def main(argv: Sequence[str]) -> int:
    """Run what is not finished and report; 0, or 1 for a failed run."""
    options = parse_options(argv)
    from micacl_mm.records.record import row_of
    from micacl_mm.records.rows import format_rows

    from .kfold_runs import format_summary, make_plan, run_all, summarise

    runs = make_plan(options)
    for run in runs:
        run.check()
    rule = RULES[options.selection]
    print(
        f'{runs[0].facts["method"]}: {len(runs)} runs in {options.work_dir}\n'
        f'tested: {rule}',
        flush=True,
    )
    if not run_all(runs):
        return 1
    records = [run.read() for run in runs]
    summary = summarise(records)
    suffix = options.rule.removeprefix(options.selection)
    texts = {
        f'summary{suffix}.json': json.dumps(summary, indent=2) + '\n',
        f'rows{suffix}.csv': format_rows(map(row_of, records)),
    }
    for name, text in texts.items():
        write_text(options.work_dir / name, text)
    print(
        f'\n{format_summary(summary)}\nTested: {rule}.\n\n'
        f'written to {options.work_dir}: {" and ".join(texts)}'
    )
    return 0


def parse_options(arguments: Sequence[str]) -> Namespace:
    """Read the command line; data options go to the environment.

    ``rule`` names what is tested: the selection, and adjusted logits.
    """
    found = _parser().parse_args(take_options(arguments))
    import torch

    from micacl_mm.records.rows import cell_problem

    found.config = find_config(found.config)
    fold = option('fold')
    folds = found.folds or ([] if fold is None else [fold])
    found.folds, found.seeds = sorted(set(folds)), sorted(set(found.seeds))
    problem = cell_problem('method', found.name or 'x')
    if problem:  # or the result could not join a table
        raise ConfigError(f'--name {problem}')
    if found.selection == 'test':
        if option('val_ratio'):
            raise ConfigError(
                f'--selection test trains on all clips, but --val-ratio is '
                f'{option("val_ratio")}',
                'leave it out, or choose --selection val',
            )
        set_option('val_ratio', '0')  # then the test split takes its place
    if found.nproc is None:
        many = found.launcher != 'none'
        found.nproc = max(1, torch.cuda.device_count()) if many else 1
    elif found.nproc > 1:
        found.launcher = 'pytorch'
    found.train_options = [s for part in found.train_options for s in part]
    found.work_dir = found.work_dir or _work_dir(found)
    tau = found.logit_adjust
    found.rule = found.selection + (f'_adjusted_{tau:g}' if tau else '')
    return found


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('kfold', __doc__)
    parser.epilog = f'options of the data:\n{help_options()}'
    add = parser.add_argument
    add('config', help='config file, or the name of a shipped one')
    add('--folds', nargs='+', type=int, help='default: all of the set')
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
    add('--launcher', choices=['none', 'pytorch'], default='none')
    add(
        '--nproc',
        type=_positive,
        help='processes of one run; with --launcher pytorch by default the '
        'GPUs',
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


def _work_dir(found: Namespace) -> Path:
    """A folder of its own for what is trained differently."""
    from micacl_mm.records.record import public_path

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
