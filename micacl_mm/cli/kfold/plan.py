"""Which runs there are, checked before the first one starts."""

import hashlib
import logging
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import MMLogger

from micacl_mm.datasets import BaseDFERDataset, DFEWDataset
from micacl_mm.hooks import SafeCheckpointHook
from micacl_mm.options import variable
from micacl_mm.records.config_hash import config_hash, essentials
from micacl_mm.records.config_text import (
    inner_dataset,
    parse_config,
    short_type,
)
from micacl_mm.records.pretraining import pretraining_of
from micacl_mm.records.tested import (
    BENCHMARK_MARKER,
    DRAWN_MARKER,
    dataset_id,
)
from micacl_mm.records.training import Training
from micacl_mm.registry import DATASETS, HOOKS

from ..launch import stock_tool
from .options import Options
from .run import Run

_FOLD = variable('fold')


def make_plan(options: Options) -> list[Run]:
    """List the runs, fold by fold.

    Args:
        options (Options): What the user wants.

    Returns:
        list[Run]: one a fold and seed.

    Raises:
        ValueError: The config cannot do what is asked.
        FileNotFoundError: A split file is missing.
    """
    runs = []
    for fold in _choose_folds(options):
        config = trained_config(options, fold)
        _check_rule(config, options.selection)
        _check_parts(config, options.selection)
        dataset = _check_fold(config, fold)
        facts = {
            'method': options.name
            or config.get('method')
            or Path(options.config).stem,
            'config_hash': config_hash(config),
            'fold': fold,
            'subset': inner_dataset(config['test_dataloader']).get('subset'),
            'data set': '' if dataset is None else _digest(dataset),
            'processes': options.processes,
            'settings': essentials(config),
        }
        for seed in options.seeds:
            folder = options.work_dir
            folder = folder / f'fold{fold}' if fold else folder
            runs.append(
                Run(
                    folder / f'seed{seed}',
                    {**facts, 'seed': seed},
                    options,
                    _environment(fold),
                    _own_options(config),
                    _is_safe(config),
                )
            )
    return runs


def trained_config(options: Options, fold: Optional[int]) -> dict[str, Any]:
    """Return the config as the stock train tool will make it.

    Args:
        options (Options): With the options of that tool.
        fold (int, optional): The fold.

    Returns:
        dict[str, Any]: its variables, as a checkpoint keeps them.
    """
    path = str(stock_tool('train'))
    arguments = [options.config, *options.train_options]
    if options.cfg_options:
        arguments += ['--cfg-options', *options.cfg_options]
    tool = runpy.run_path(path)
    with _called([path, *arguments], _environment(fold)):
        found = tool['parse_args']()
        config = tool['merge_args'](Config.fromfile(found.config), found)
    # The same text as in a checkpoint, but for the slow layout of it.
    plain = Config(config.to_dict(), format_python_code=False)
    return parse_config(plain.pretty_text)


@contextmanager
def _called(line: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """As if this process had been started so."""
    before, argv = dict(os.environ), sys.argv
    logger = MMLogger.get_current_instance()
    level = logger.level
    os.environ.update(environment)
    sys.argv = line
    logger.setLevel(logging.WARNING)  # it names each variable that is set
    try:
        yield
    finally:
        logger.setLevel(level)
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)


def _environment(fold: Optional[int]) -> dict[str, str]:
    return {} if fold is None else {_FOLD: str(fold)}


def _choose_folds(options: Options) -> Sequence[Optional[int]]:
    config = trained_config(options, (options.folds or [None])[0])
    settings = inner_dataset(config.get('train_dataloader'))
    kind = DATASETS.get(short_type(settings.get('type', '')))
    if not (kind and issubclass(kind, DFEWDataset)):
        if options.folds:
            raise ValueError(
                f'kfold: --folds is for DFEW, but {options.config} trains on '
                f'{settings.get("type")}, which has no folds; leave it out'
            )
        return [None]
    if options.folds:
        return options.folds
    found = [
        fold
        for fold in sorted(DFEWDataset.OFFICIAL_COUNTS)
        if _has_split_files({**settings, 'fold': fold})
    ]
    return found or [1]  # which ends in an error that says what to do


def _has_split_files(settings: Mapping[str, Any]) -> bool:
    try:
        _digest(_dataset(settings))
    except FileNotFoundError:
        return False  # drawn sets may have fewer folds
    return True


def _dataset(settings: Mapping[str, Any]) -> Optional[BaseDFERDataset]:
    """Build a data set without looking at its clips; None if it is no DFER."""
    kind = DATASETS.get(short_type(settings['type']))
    if not (kind and issubclass(kind, BaseDFERDataset)):
        return None
    settings = {k: v for k, v in settings.items() if k != 'type'}
    return kind(**{**settings, 'pipeline': []}, lazy_init=True)


def _check_fold(
    config: Mapping[str, Any], fold: Optional[int]
) -> Optional[BaseDFERDataset]:
    """Return the tested set, and see that all three are of the fold."""
    for name in ('train', 'val', 'test'):
        settings = inner_dataset(config.get(f'{name}_dataloader'))
        if fold and settings and str(settings.get('fold')) != str(fold):
            raise ValueError(
                f'kfold: {name}_dataloader must follow the fold, {fold}, got '
                f'{settings.get("fold")}; take it from the environment in the '
                "config: fold={{'$MICACL_FOLD:1'}}"
            )
    return _dataset(inner_dataset(config['test_dataloader']))


def _digest(dataset: BaseDFERDataset) -> str:
    """Tell a set by its split files and, if it was drawn, by its recipe."""
    parts = [dataset_id(dataset)]
    parts += [repr(dataset.read_split(name)) for name in ('train', 'test')]
    for marker in (DRAWN_MARKER, BENCHMARK_MARKER):
        path = Path(dataset.data_root, marker)
        parts.append(path.read_text() if path.is_file() else '')
    text = '\n'.join(parts)
    return f'{parts[0]} {hashlib.sha256(text.encode()).hexdigest()[:10]}'


def _check_rule(config: Mapping[str, Any], selection: str) -> None:
    split = Training(dict(config)).chosen_on
    if selection == 'last' or split == selection:
        return
    cure = 'set --val-ratio 0.1, or use --selection last or test'
    if selection == 'test':
        cure = (
            'take it from the environment in the config, as '
            'configs/_base_/datasets/dfew.py does with val_ratio'
        )
    raise ValueError(
        f'kfold: --selection {selection} needs checkpoints chosen on the '
        f'{selection} split, but the config validates on '
        f'{"the " + split if split != "other" else "another"} split; {cure}'
    )


def _check_parts(config: Mapping[str, Any], selection: str) -> None:
    """See that there will be a result, before hours of training."""
    hooks = [
        short_type(str(hook.get('type', '')))
        for hook in config.get('custom_hooks') or []
    ]
    metrics = config.get('test_evaluator') or []
    metrics = metrics if isinstance(metrics, list) else [metrics]
    kinds = [short_type(str(metric.get('type', ''))) for metric in metrics]
    if 'ResultHook' not in hooks or 'RecallMetric' not in kinds:
        raise ValueError(
            'kfold: the config must write a result; add '
            "dict(type='ResultHook') to custom_hooks and set test_evaluator="
            "dict(type='RecallMetric')"
        )
    best = _checkpoint_hook(config).get('save_best')
    if selection != 'last' and not isinstance(best, str):
        raise ValueError(
            f'kfold: --selection {selection} needs one best checkpoint, got '
            f'save_best={best!r}; set default_hooks.checkpoint.save_best='
            'acc/UAR, or use --selection last'
        )


def _checkpoint_hook(config: Mapping[str, Any]) -> dict[str, Any]:
    return (config.get('default_hooks') or {}).get('checkpoint') or {}


def _is_safe(config: Mapping[str, Any]) -> bool:
    """Whether no kill costs a checkpoint or a validation."""
    name = short_type(str(_checkpoint_hook(config).get('type', '')))
    kind = HOOKS.get(name)
    return isinstance(kind, type) and issubclass(kind, SafeCheckpointHook)


def _own_options(config: Mapping[str, Any]) -> list[str]:
    """What the training must do for kfold, and has no other effect."""
    found = []
    once = _checkpoint_hook(config).get('max_keep_ckpts') == 1
    if once and not _is_safe(config):
        # For a kill in the middle of writing the newest.
        found.append('default_hooks.checkpoint.max_keep_ckpts=2')
    if config.get('load_from') and not config.get('pretraining'):
        # The stock tool forgets load_from when it resumes.
        found.append(f'pretraining={pretraining_of(config)}')
    return found
