"""The command line of kfold."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from micacl_mm.options import OPTIONS, flag, take_options, variable
from micacl_mm.records.record import public_path

from ..launch import add_adjustment

#: How the tested checkpoint is chosen.
RULES = {
    'val': 'best on the validation slice, cut from the training clips',
    'last': 'last epoch',
    'test': "best on the test split itself, the field's habit, which flatters",
}
#: Options of the stock tools that kfold gives itself, and what to use.
_OURS = {
    '--fold': '--folds',
    '--seed': '--seeds',
    '--resume': 'nothing, an unfinished run is always resumed',
}
DESCRIPTION = """\
Train and test the folds and seeds of one config, and summarise them.

Runs the stock train and test tools. Interrupted in any way, the same command
goes on from there: what is finished is not run again."""
EPILOG = """\
All other options go to the stock train tool (--amp, --auto-scale-lr, ...),
--cfg-options to the test tool too. Options of micacl_mm for both:
""" + '\n'.join(
    f'  {flag(name):<16} {known.help}'
    for name, known in OPTIONS.items()
    if name != 'fold'
)


class Options(NamedTuple):
    """What the user wants."""

    config: str
    folds: Optional[list[int]]
    seeds: list[int]
    selection: str
    #: Method in the tables, if the user names it.
    name: Optional[str]
    work_dir: Path
    processes: int
    launcher: str
    jobs: int
    cfg_options: list[str]
    #: Post-hoc logit adjustment of the test.
    logit_adjust: Optional[float]
    class_counts: Optional[list[int]]
    #: Further ones of the stock train tool.
    train_options: list[str]

    @property
    def rule(self) -> str:
        """Names what is tested: the selection, and adjusted logits."""
        tau = self.logit_adjust
        return self.selection + (f'_adjusted_{tau:g}' if tau else '')


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; our data options go to the environment.

    Raises:
        ValueError: Options that contradict each other.
    """
    for token in arguments:
        name = token.partition('=')[0]
        if name in _OURS:
            raise ValueError(
                f'kfold: {name} is set for each run; use {_OURS[name]}'
            )
    found, rest = _parser().parse_known_args(take_options(arguments))
    if found.selection == 'test':
        _validate_on_test()
    launcher = found.launcher
    processes = found.nproc or (_count_gpus() if launcher != 'none' else 1)
    if processes > 1 and launcher == 'none':
        raise ValueError(
            f'kfold: --nproc {processes} needs --launcher pytorch'
        )
    return Options(
        config=found.config,
        folds=found.folds and sorted(set(found.folds)),
        seeds=sorted(set(found.seeds)),
        selection=found.selection,
        name=found.name,
        work_dir=found.work_dir or _work_dir(found),
        processes=processes,
        launcher=launcher,
        jobs=found.jobs,
        cfg_options=found.cfg_options,
        logit_adjust=found.logit_adjust or None,
        class_counts=found.class_counts,
        train_options=rest,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='kfold',
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', help='config file')
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
    add_adjustment(parser)
    add('--cfg-options', nargs='+', action='extend', default=[])
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {text!r}')
    return int(text)


def _count_gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _validate_on_test() -> None:
    """Give no clip to a validation slice, so that test takes its place."""
    name = variable('val_ratio')
    given = os.environ.get(name) or '0'
    if float(given):
        raise ValueError(
            f'kfold: --selection test trains on all clips, but --val-ratio '
            f'is {given}; leave it out, or choose --selection val'
        )
    os.environ[name] = '0'


def _work_dir(found: argparse.Namespace) -> Path:
    """A folder of its own for what is trained differently."""
    place = Path(public_path(found.config)).with_suffix('')
    parts = [part for part in place.parts if part not in ('configs', '..')]
    if found.name:
        parts[-1] = re.sub(r'[^\w.+-]+', '_', found.name)
    if found.selection == 'test':
        parts[-1] += '_chosen_on_test'
    return Path('work_dirs', 'kfold', *parts)
