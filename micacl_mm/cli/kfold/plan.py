"""Which runs there are, checked before the first one starts."""

import hashlib
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config, DictAction

from micacl_mm.datasets import BaseDFERDataset, DFEWDataset
from micacl_mm.errors import ConfigError
from micacl_mm.options import variable
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
from micacl_mm.records.training import chosen_on
from micacl_mm.registry import DATASETS, HOOKS

from .run import Run


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
        _check_rule(config, options.selection)
        _check_parts(config, options.selection)
        _check_fold(config, fold)
        settings = inner_dataset(config['test_dataloader'])
        dataset = _dataset(settings)
        facts = {
            'method': options.name
            or config.get('method')
            or Path(options.config).stem,
            'config_hash': config_hash(config),
            'fold': fold,
            'subset': settings.get('subset'),
            'data set': '' if dataset is None else _digest(dataset),
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
    """Return the config as the train tool will make it.

    Args:
        options (Namespace): With settings of the config.
        fold (int, optional): The fold.

    Returns:
        dict[str, Any]: its variables.
    """
    parser = ArgumentParser()
    parser.add_argument('--settings', nargs='*', action=DictAction)
    settings = [*options.cfg_options, *options.train_options]
    given = parser.parse_args(['--settings', *settings]).settings
    before = os.environ.get(variable('fold'))
    if fold is not None:
        os.environ[variable('fold')] = str(fold)
    try:
        config = Config.fromfile(options.config)
    finally:
        os.environ.pop(variable('fold'), None)
        if before is not None:
            os.environ[variable('fold')] = before
    config.merge_from_dict(given or {})
    return config.to_dict()


def _choose_folds(options: Namespace) -> Sequence[Optional[int]]:
    config = trained_config(options, (options.folds or [None])[0])
    settings = inner_dataset(config.get('train_dataloader'))
    kind = DATASETS.get(short_type(settings.get('type', '')))
    if not (kind and issubclass(kind, DFEWDataset)):
        if options.folds:
            raise ConfigError(
                f'--folds is for DFEW, but {options.config} trains on '
                f'{settings.get("type")}, which has no folds',
                'leave it out',
            )
        return [None]
    if options.folds:
        return options.folds
    found = []
    for fold in sorted(DFEWDataset.OFFICIAL_COUNTS):
        try:
            _digest(_dataset({**settings, 'fold': fold}))
            found.append(fold)
        except FileNotFoundError:
            pass  # drawn sets may have fewer folds
    return found or [1]  # which ends in an error that says what to do


def _dataset(settings: Mapping[str, Any]) -> Optional[BaseDFERDataset]:
    """Build a data set without looking at its clips; None if it is no DFER."""
    kind = DATASETS.get(short_type(settings['type']))
    if not (kind and issubclass(kind, BaseDFERDataset)):
        return None
    settings = {k: v for k, v in settings.items() if k != 'type'}
    return kind(**{**settings, 'pipeline': []}, lazy_init=True)


def _digest(dataset: BaseDFERDataset) -> str:
    """Tell a set by its split files and, if it was drawn, by its recipe."""
    parts = [dataset_id(dataset)]
    parts += [repr(dataset.read_split(name)) for name in ('train', 'test')]
    for marker in (DRAWN_MARKER, BENCHMARK_MARKER):
        path = Path(dataset.data_root, marker)
        parts.append(path.read_text() if path.is_file() else '')
    text = '\n'.join(parts)
    return f'{parts[0]} {hashlib.sha256(text.encode()).hexdigest()[:10]}'


def _check_fold(config: Mapping[str, Any], fold: Optional[int]) -> None:
    for name in ('train', 'val', 'test'):
        settings = inner_dataset(config.get(f'{name}_dataloader'))
        if fold and settings and str(settings.get('fold')) != str(fold):
            raise ConfigError(
                f'{name}_dataloader must follow the fold, {fold}, got '
                f'{settings.get("fold")}',
                "set fold=option('fold', 1) in the config, as "
                'configs/_base_/datasets/dfew.py does',
            )


def _check_rule(config: Mapping[str, Any], selection: str) -> None:
    split = chosen_on(config)
    if selection in ('last', split):
        return
    cure = 'set --val-ratio 0.1, or use --selection last or test'
    if selection == 'test':
        cure = "set val_ratio=option('val_ratio', 0.1) in the config"
    raise ConfigError(
        f'--selection {selection} needs checkpoints chosen on the '
        f'{selection} split, but the config validates on '
        f'{"the " + split if split != "other" else "another"} split',
        cure,
    )


def _check_parts(config: Mapping[str, Any], selection: str) -> None:
    """See that there will be a result, before hours of training."""
    hooks = _types(config.get('custom_hooks'))
    if 'ResultHook' not in hooks or 'RecallMetric' not in _types(
        config.get('test_evaluator')
    ):
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
