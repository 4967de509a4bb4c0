"""Train and test the folds and seeds of one config, and summarise them.

Interrupted in any way, the same command continues: finished runs are not run
again, an unfinished training is resumed.
"""

import argparse
import hashlib
import json
import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config, DictAction

from micacl_mm.datasets import BaseDFERDataset
from micacl_mm.errors import ConfigError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.options import (
    find_config,
    help_options,
    option,
    set_option,
    take_options,
    variable,
)
from micacl_mm.records.config_hash import (
    config_hash,
    essentials,
    inner_dataset,
    pretraining_of,
    short_type,
)
from micacl_mm.records.protocol import (
    BENCHMARK_MARKER,
    DRAWN_MARKER,
    dataset_id,
)
from micacl_mm.records.record import public_path, row_of
from micacl_mm.records.rows import cell_problem, format_rows
from micacl_mm.records.statistics import interval, replicates
from micacl_mm.records.training import chosen_on
from micacl_mm.registry import DATASETS, HOOKS
from micacl_mm.utils.files import write_text

from .kfold_runs import Run, run_all
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
    """Run what is not finished and report.

    Returns:
        int: exit code: 0, 1 for a failed run, 130 if interrupted.

    Raises:
        ConfigError: Options, config or folders do not allow it.
    """
    options = parse_options(argv)
    runs = make_plan(options)
    for run in runs:
        run.check()
    print(
        f'{runs[0].facts["method"]}: {len(runs)} runs in {options.work_dir}\n'
        f'tested: {RULES[options.selection]}',
        flush=True,
    )
    code = run_all(runs, options.jobs)
    if code:
        return code
    records = [run.read() for run in runs]
    summary = summarise(records)
    suffix = options.rule.removeprefix(options.selection)
    names = f'summary{suffix}.json', f'rows{suffix}.csv'
    texts = (
        json.dumps(summary, indent=2) + '\n',
        format_rows(map(row_of, records)),
    )
    for name, text in zip(names, texts, strict=True):
        write_text(options.work_dir / name, text)
    print(
        f'\n{format_summary(summary)}\nTested: {RULES[options.selection]}.\n\n'
        f'written to {options.work_dir}: {" and ".join(names)}'
    )
    return 0


# --- the command line -------------------------------------------------------


def parse_options(arguments: Sequence[str]) -> Namespace:
    """Read the command line; data options go to the environment.

    Returns:
        Namespace: As of the parser, with ``rule``, which names what is
        tested: the selection, and adjusted logits.

    Raises:
        ConfigError: Options that contradict each other.
    """
    found = _parser().parse_args(take_options(arguments))
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
    many = found.launcher != 'none'
    if not many and (found.nproc or 1) > 1:
        raise ConfigError(
            f'--nproc {found.nproc} needs several processes',
            'add --launcher pytorch',
        )
    if found.nproc is None:
        found.nproc = max(1, torch.cuda.device_count()) if many else 1
    found.train_options = [s for part in found.train_options for s in part]
    found.work_dir = found.work_dir or _work_dir(found)
    tau = found.logit_adjust
    found.rule = found.selection + (f'_adjusted_{tau:g}' if tau else '')
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='micacl kfold',
        description=__doc__,
        epilog=f'Options of the data:\n{help_options()}',
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', help='config file, or the name of a shipped one')
    add(
        '--folds',
        nargs='+',
        type=int,
        help='default: all of the set',
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


def _work_dir(found: Namespace) -> Path:
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


# --- the plan ---------------------------------------------------------------


def make_plan(options: Namespace) -> list[Run]:
    """List the runs, fold by fold.

    Args:
        options (Namespace): What the user wants.

    Returns:
        list[Run]: one per fold and seed.

    Raises:
        ConfigError: The config cannot do what is asked.
        FileNotFoundError: A split file is missing.
    """
    runs = []
    for fold in _choose_folds(options):
        config = trained_config(options, fold)
        _check(config, options.selection, fold)
        settings = inner_dataset(config['test_dataloader'])
        facts = {
            'method': options.name
            or config.get('method')
            or Path(options.config).stem,
            'config_hash': config_hash(config),
            'fold': fold,
            'subset': settings.get('subset'),
            'data set': _digest(settings),
            'processes': options.nproc,
            'settings': essentials(config),
        }
        folder = options.work_dir / (f'fold{fold}' if fold else '')
        environment = {variable('fold'): str(fold)} if fold else {}
        runs += [
            Run(
                folder / f'seed{seed}',
                {**facts, 'seed': seed},
                options,
                environment,
                _own_settings(config),
            )
            for seed in options.seeds
        ]
    return runs


def trained_config(options: Namespace, fold: Optional[int]) -> dict[str, Any]:
    """Return the variables of the config as the train tool will make it."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--settings', nargs='*', action=DictAction)
    settings = [*options.cfg_options, *options.train_options]
    given = parser.parse_args(['--settings', *settings]).settings
    before = dict(os.environ)
    if fold is not None:
        os.environ[variable('fold')] = str(fold)
    try:
        config = Config.fromfile(options.config)
    finally:
        os.environ.clear()
        os.environ.update(before)
    config.merge_from_dict(given or {})
    return config.to_dict()


def _choose_folds(options: Namespace) -> Sequence[Optional[int]]:
    config = trained_config(options, (options.folds or [None])[0])
    settings = inner_dataset(config.get('train_dataloader'))
    kind = DATASETS.get(short_type(settings.get('type', '')))
    if getattr(kind, 'VARIANT', '') != 'fold':
        if options.folds:
            raise ConfigError(
                f'--folds is for sets with folds, but {options.config} trains '
                f'on {settings.get("type")}, which has none',
                'leave it out',
            )
        return [None]
    if options.folds:
        return options.folds
    found = []
    for fold in sorted(kind.OFFICIAL_COUNTS):
        try:
            _digest({**settings, 'fold': fold})
            found.append(fold)
        except FileNotFoundError:
            pass  # drawn sets may have fewer folds
    return found or [1]  # which ends in an error that says what to do


def _digest(settings: Mapping[str, Any]) -> str:
    """Tell a set by its split files and, if it was drawn, by its recipe.

    No clip is looked at. Empty for a set that is none of ours.
    """
    kind = DATASETS.get(short_type(settings['type']))
    if not (kind and issubclass(kind, BaseDFERDataset)):
        return ''
    settings = {k: v for k, v in settings.items() if k != 'type'}
    dataset = kind(**{**settings, 'pipeline': []}, lazy_init=True)
    parts = [dataset_id(dataset)]
    parts += [repr(dataset.read_split(name)) for name in ('train', 'test')]
    for marker in (DRAWN_MARKER, BENCHMARK_MARKER):
        path = Path(dataset.data_root, marker)
        parts.append(path.read_text() if path.is_file() else '')
    text = '\n'.join(parts)
    return f'{parts[0]} {hashlib.sha256(text.encode()).hexdigest()[:10]}'


def _check(
    config: Mapping[str, Any], selection: str, fold: Optional[int]
) -> None:
    """See that there will be a result, before hours of training."""
    split = chosen_on(config)
    if selection not in ('last', split):
        cure = 'set --val-ratio 0.1, or use --selection last or test'
        if selection == 'test':
            cure = "set val_ratio=option('val_ratio', 0.1) in the config"
        where = 'another' if split == 'other' else f'the {split}'
        raise ConfigError(
            f'--selection {selection} needs checkpoints chosen on the '
            f'{selection} split, but the config validates on {where} split',
            cure,
        )
    hooks = _types(config.get('custom_hooks'))
    metrics = _types(config.get('test_evaluator'))
    if 'ResultHook' not in hooks or 'RecallMetric' not in metrics:
        raise ConfigError(
            'the config writes no result',
            "add dict(type='ResultHook') to custom_hooks and set "
            "test_evaluator=dict(type='RecallMetric')",
        )
    best = _checkpoint_hook(config).get('save_best')
    if selection != 'last' and not isinstance(best, str):
        raise ConfigError(
            f'--selection {selection} needs one best checkpoint, got '
            f'save_best={best!r}',
            'set default_hooks.checkpoint.save_best=acc/UAR, or use '
            '--selection last',
        )
    for name in ('train', 'val', 'test'):
        settings = inner_dataset(config.get(f'{name}_dataloader'))
        if fold and settings and str(settings.get('fold')) != str(fold):
            raise ConfigError(
                f'{name}_dataloader must follow the fold, {fold}, got '
                f'{settings.get("fold")}',
                "set fold=option('fold', 1) in the config, as "
                'configs/_base_/datasets/dfew.py does',
            )


def _types(parts: Any) -> list[str]:
    parts = parts if isinstance(parts, list) else [parts or {}]
    return [short_type(str(part.get('type', ''))) for part in parts]


def _checkpoint_hook(config: Mapping[str, Any]) -> dict[str, Any]:
    return (config.get('default_hooks') or {}).get('checkpoint') or {}


def _own_settings(config: Mapping[str, Any]) -> list[str]:
    """What the training needs for kfold, without effect on its numbers."""
    found = []
    safe = HOOKS.get('SafeCheckpointHook')
    kind = HOOKS.get(short_type(str(_checkpoint_hook(config).get('type'))))
    if not (isinstance(kind, type) and issubclass(kind, safe)):
        found.append('default_hooks.checkpoint.type=SafeCheckpointHook')
    if config.get('load_from') and not config.get('pretraining'):
        # The stock tool forgets load_from when it resumes.
        found.append(f'pretraining={pretraining_of(config)}')
    return found


# --- the report -------------------------------------------------------------

_SHARED = ('method', 'dataset', 'config_hash', 'selection', 'pretraining')


def summarise(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the records of one method on one set.

    Args:
        records (Sequence[Mapping[str, Any]]): One a run.

    Returns:
        dict[str, Any]: ready for JSON; all metrics in [0, 1]. ``metrics``
        has mean, std, half_width of the 95 % interval and count for UAR,
        WAR, F1 and each recall, ``pooled`` the metrics of all confusion
        matrices added.
    """
    classes = records[0]['classes']
    matrices = [torch.tensor(r['confusion_matrix']) for r in records]
    figures = [RecallMetric.summarise(m, classes) for m in matrices]
    total = torch.stack(matrices).sum(dim=0)
    pooled = RecallMetric.summarise(total, classes)
    metrics = {}
    for name in pooled:
        values = [
            (record['fold'], record['seed'], found[name])
            for record, found in zip(records, figures, strict=True)
            if found[name] == found[name]  # nan: a class without test clips
        ]
        metrics[name] = values and interval(replicates(values))._asdict()
    return {
        **{name: records[0][name] for name in _SHARED},
        'logit_adjust': records[0].get('logit_adjust'),
        'replicates': (
            'folds' if len({r['fold'] for r in records}) > 1 else 'seeds'
        ),
        'runs': [
            {
                **{k: record[k] for k in ('fold', 'seed', 'epoch')},
                'dropped': record.get('dropped'),
                **{k: found[k] for k in ('UAR', 'WAR', 'F1')},
            }
            for record, found in zip(records, figures, strict=True)
        ],
        'metrics': {name: found or None for name, found in metrics.items()},
        'pooled': {k: None if v != v else v for k, v in pooled.items()},
        'pooled_confusion_matrix': total.tolist(),
        'classes': classes,
    }


def format_summary(summary: Mapping[str, Any]) -> str:
    """Lay out a summary as text, in percent."""
    tau = summary['logit_adjust']
    adjusted = f', logits adjusted by {tau:g}' if tau else ''
    lines = [
        f'{summary["method"]} on {summary["dataset"]}{adjusted}',
        'fold  seed  epoch    UAR     WAR      F1',
    ]
    for run in summary['runs']:
        fold = '-' if run['fold'] is None else run['fold']
        figures = '  '.join(_percent(run[k]) for k in ('UAR', 'WAR', 'F1'))
        lines.append(
            f'{fold:>4}  {run["seed"]:>4}  {run["epoch"]:>5}  {figures}'
        )
    count = summary['metrics']['UAR']['count']
    what = '1 run' if count == 1 else f'{count} {summary["replicates"]}'
    width = max(len(name) for name in summary['metrics'])
    lines += [
        '',
        f'{f"over {what}":<{width}}   mean     std   95 % interval   pooled',
    ]
    for name, found in summary['metrics'].items():
        mean, std, half_width = (
            _percent(found and found[key])
            for key in ('mean', 'std', 'half_width')
        )
        lines.append(
            f'{name:<{width}}  {mean}  {std}  +- {half_width}'
            f'       {_percent(summary["pooled"][name])}'
        )
    dropped = sum(run['dropped'] or 0 for run in summary['runs'])
    if dropped:
        lines.append(f'{dropped} clips of the test splits were left out.')
    if summary['replicates'] == 'folds':
        lines.append(
            'The folds share training clips, so the interval is approximate '
            'and rather too narrow.'
        )
    elif count == 1:
        lines.append('One run has no interval; give more --folds or --seeds.')
    return '\n'.join(lines)


def _percent(value: Optional[float]) -> str:
    return '     -' if value is None else f'{100 * value:6.2f}'
