"""The runs of kfold: train, choose a checkpoint, test, keep the record."""

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional

import torch

from micacl_mm.datasets import BaseDFERDataset
from micacl_mm.errors import ConfigError, MICACLError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks.safe_checkpoint_hook import NOTE, find_start, is_broken
from micacl_mm.options import set_option, variable
from micacl_mm.records.config_hash import (
    config_hash,
    inner_dataset,
    short_type,
)
from micacl_mm.records.machine import COMMAND_VARIABLE, command_line
from micacl_mm.records.protocol import (
    BENCHMARK_MARKER,
    DRAWN_MARKER,
    dataset_id,
)
from micacl_mm.records.record import (
    FILE_NAME,
    metric_of,
    read_record,
    write_record,
)
from micacl_mm.records.statistics import metric_intervals
from micacl_mm.records.training import chosen_on
from micacl_mm.registry import DATASETS
from micacl_mm.utils.files import write_text

from .launch import adjustment_settings, read_config

MARKER = 'run.json'
_IN_RECORD = ('method', 'config_hash', 'seed', 'fold')
_SHOWN = 15  # lines of the log of a failed run
_PATIENCE = 15  # seconds that a tool has to end by itself
#: Signals that ask to stop; Windows lacks the last.
_STOPS = [
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
    if hasattr(signal, name)
]
_say = partial(print, flush=True)


class RunError(MICACLError):
    """A run did not come to its end; the message says why."""


class Run(NamedTuple):
    """A training and its test, in a folder of its own.

    A folder in which other facts are noted is refused.
    """

    folder: Path
    facts: dict[str, Any]
    options: Namespace

    @property
    def name(self) -> str:
        """For people."""
        fold, seed = self.facts['fold'], f'seed {self.facts["seed"]}'
        return f'fold {fold}, {seed}' if fold else seed

    @property
    def log(self) -> Path:
        """What the tools printed."""
        return self.folder / 'kfold.log'

    @property
    def record_path(self) -> Path:
        """Where the record is in the end."""
        return self.folder / self.options.rule / FILE_NAME

    def check(self) -> None:
        """Refuse a folder in which something else was begun."""
        marker = self._read_marker()
        if marker is None:
            if any(self.folder.glob('*.pth')):
                raise ConfigError(
                    f'{self.folder} holds a training that kfold did not start',
                    'choose another --work-dir',
                )
            return
        if other := _differences(marker, self.facts):
            raise ConfigError(
                f'{self.folder} was begun with other settings: {other}',
                'choose another --work-dir, or use the old settings, which '
                'are in the config there',
            )

    def read(self) -> Optional[dict[str, Any]]:
        """Return the record, or None if the run is not finished."""
        with suppress(FileNotFoundError, ValueError):
            record = read_record(self.record_path)
            if not self._problem(record):
                return record
        return None

    def finish(self) -> None:
        """Train and test as far as that is not done."""
        self.check()  # another kfold may have been here since
        if self.read() is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        marker = self._read_marker() or self.facts
        self._write_marker(marker)
        if not marker.get('trained'):
            self._call('train', self._train_arguments())
            self._write_marker({**marker, 'trained': True})
        checkpoint = self.choose()
        if checkpoint is None:
            raise RunError(
                f'there is no checkpoint for --selection '
                f'{self.options.selection}',
                f'delete {self.folder} to train it again',
            )
        self._call('test', self._test_arguments(checkpoint))
        self._keep_record()

    def choose(self) -> Optional[Path]:
        """Return the checkpoint to test, None if there is none."""
        paths = self.folder.glob('*.pth')
        files = [path for path in paths if not is_broken(path)]
        if self.options.selection == 'last':
            return max(filter(_number, files), key=_number, default=None)
        best = [path for path in files if path.name.startswith('best_')]
        return max(best, key=lambda path: path.stat().st_mtime, default=None)

    def _call(self, tool: str, arguments: Sequence[str]) -> None:
        """Run one of our commands; its output goes to the log."""
        command = ['-m', 'micacl_mm', tool, *arguments]
        if self.options.launcher != 'none':
            command = [
                *('-m', 'torch.distributed.run', '--standalone'),
                *('--nproc-per-node', str(self.options.nproc), *command),
                *('--launcher', self.options.launcher),
            ]
        environment = {**os.environ, COMMAND_VARIABLE: command_line()}
        if self.facts['fold']:
            environment[variable('fold')] = str(self.facts['fold'])
        command = [sys.executable, *command]
        with self.log.open('ab') as stream:
            stream.write(f'\n$ {shlex.join(command)}\n'.encode())
            stream.flush()
            process = None
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environment,
                )
                code = process.wait()
            except KeyboardInterrupt:
                for number in _STOPS:  # the tool gets its time to end
                    signal.signal(number, signal.SIG_IGN)
                if process is not None:
                    process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_PATIENCE)
                    process.kill()
                raise
        if code:
            text = self.log.read_text(errors='replace')
            lines = text.rstrip().splitlines()[-_SHOWN:]
            shown = ''.join(f'\n  | {line}' for line in lines)
            raise RunError(f'{tool} ended with exit code {code}{shown}')

    def _train_arguments(self) -> list[str]:
        settings = [
            *self.options.cfg_options,
            *self.options.train_options,
            f'randomness.seed={self.facts["seed"]}',
        ]
        unit = 'iter' if any(self.folder.glob('iter_*.pth')) else 'epoch'
        begun, _ = find_start(self.folder / NOTE, unit + '_{}.pth')
        # Not from the start, for then the tool would forget load_from.
        resume = ['--resume'] if begun else []
        if resume:  # or MMEngine would resume from that file
            settings.append('load_from=None')
        return [
            self.options.config,
            *resume,
            *('--work-dir', str(self.folder)),
            *('--cfg-options', *settings),
        ]

    def _test_arguments(self, checkpoint: Path) -> list[str]:
        settings = self.options.cfg_options
        return [
            *(self.options.config, str(checkpoint)),
            *('--work-dir', str(self.record_path.parent)),
            *(['--cfg-options', *settings] if settings else []),
            *adjustment_settings(
                self.options.logit_adjust, self.options.class_counts
            ),
        ]

    def _keep_record(self) -> None:
        """Move the newest record of the test to its place, and check it."""
        found = sorted(
            self.record_path.parent.glob(f'*/{FILE_NAME}'),
            key=lambda path: path.stat().st_mtime,
        )
        if not found:
            raise RunError('the test wrote no result')
        record = {**read_record(found[-1]), 'method': self.facts['method']}
        problem = self._problem(record)
        if problem:
            raise RunError(
                f'{found[-1]} is of another run: {problem}; the config may '
                'have been changed meanwhile',
                f'delete {self.folder} to train it again',
            )
        write_record(record, self.record_path)
        for path in found:  # or it would count twice
            path.unlink()

    def _problem(self, record: Mapping[str, Any]) -> str:
        wanted = {
            **{k: self.facts[k] for k in _IN_RECORD},
            'selection': self.options.selection,
            'logit_adjust': self.options.logit_adjust or None,
        }
        return _differences(record, wanted)

    def _read_marker(self) -> Optional[dict[str, Any]]:
        path = self.folder / MARKER
        try:
            marker = json.loads(path.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            marker = None
        if not isinstance(marker, dict):
            raise ConfigError(
                f'{path} is damaged', 'choose another --work-dir'
            )
        return marker

    def _write_marker(self, marker: Mapping[str, Any]) -> None:
        text = json.dumps(marker, indent=2) + '\n'
        write_text(self.folder / MARKER, text)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Where a run differs from what is wanted, ``'seed 1, now 2'``."""
    return '; '.join(
        f'{name} {old.get(name)!r}, now {value!r}'
        for name, value in new.items()
        if old.get(name) != value
    )


def _number(path: Path) -> int:
    """Epoch, or iteration, of a checkpoint; 0 for the best ones."""
    found = re.fullmatch(r'(?:epoch|iter)_(\d{1,15})\.pth', path.name)
    return int(found[1]) if found else 0


def run_all(runs: Sequence[Run]) -> bool:
    """Run what is not finished, up to the first failure; False for one."""
    for number in _STOPS[1:]:  # also ``kill`` and a closed terminal
        if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup
            signal.signal(number, signal.default_int_handler)
    for run in runs:
        record = run.read()
        if record is not None:
            _say(f'{run.name}: finished before, {_figures(record)}')
            continue
        _say(f'{run.name}: running, log in {run.log}')
        try:
            run.finish()
        except (RunError, ValueError, OSError) as error:
            _say(
                f'{run.name}: failed, {error}\nIts log is {run.log}. '
                'Finished runs stay; the same command tries again.'
            )
            return False
        _say(f'{run.name}: {_figures(run.read())}')
    return True


def _figures(record: dict[str, Any]) -> str:
    uar, war = (100 * metric_of(record, name) for name in ('UAR', 'WAR'))
    return f'UAR {uar:.2f}, WAR {war:.2f}, epoch {record["epoch"]}'


# --- the plan ---------------------------------------------------------------


def make_plan(options: Namespace) -> list[Run]:
    """List the runs, fold by fold."""
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
        }
        folder = options.work_dir / (f'fold{fold}' if fold else '')
        runs += [
            Run(folder / f'seed{seed}', {**facts, 'seed': seed}, options)
            for seed in options.seeds
        ]
    return runs


def trained_config(options: Namespace, fold: Optional[int]) -> dict[str, Any]:
    """Return the variables of the config as the train tool will make it."""
    before = dict(os.environ)
    if fold is not None:
        set_option('fold', str(fold))
    try:
        settings = [*options.cfg_options, *options.train_options]
        return read_config(options.config, settings).to_dict()
    finally:
        os.environ.clear()
        os.environ.update(before)


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
        with suppress(FileNotFoundError):  # drawn sets may have fewer folds
            _digest({**settings, 'fold': fold})
            found.append(fold)
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
    paths = (
        Path(dataset.data_root, marker)
        for marker in (DRAWN_MARKER, BENCHMARK_MARKER)
    )
    parts += [path.read_text() if path.is_file() else '' for path in paths]
    text = '\n'.join(parts)
    return f'{parts[0]} {hashlib.sha256(text.encode()).hexdigest()[:10]}'


def _check(
    config: Mapping[str, Any], selection: str, fold: Optional[int]
) -> None:
    """See that there will be a result, before hours of training."""
    split = chosen_on(config)
    if selection not in ('last', split):
        raise ConfigError(
            f'--selection {selection} needs checkpoints chosen on the '
            f'{selection} split, but the config chooses them on: {split}',
            "set val_ratio=option('val_ratio', 0.1) in the config, and for "
            '--selection val a --val-ratio above 0; or use --selection last',
        )
    hooks = _types(config.get('custom_hooks'))
    metrics = _types(config.get('test_evaluator'))
    if 'ResultHook' not in hooks or 'RecallMetric' not in metrics:
        raise ConfigError(
            'the config writes no result',
            "add dict(type='ResultHook') to custom_hooks and set "
            "test_evaluator=dict(type='RecallMetric')",
        )
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    if selection != 'last' and not isinstance(hook.get('save_best'), str):
        raise ConfigError(
            f'--selection {selection} needs one best checkpoint',
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


# --- the report -------------------------------------------------------------

_SHARED = ('method', 'dataset', 'config_hash', 'selection', 'pretraining')


def summarise(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the records of one method on one set, ready for JSON.

    All metrics are in [0, 1]. ``metrics`` has mean, std, half_width of the
    95 % interval and count for UAR, WAR, F1 and each recall, ``pooled`` the
    metrics of all confusion matrices added.
    """
    classes = records[0]['classes']
    matrices = [torch.tensor(r['confusion_matrix']) for r in records]
    figures = [RecallMetric.summarise(m, classes) for m in matrices]
    total = torch.stack(matrices).sum(dim=0)
    pooled = RecallMetric.summarise(total, classes)
    runs = [(record['fold'], record['seed']) for record in records]
    found = metric_intervals(zip(runs, matrices, strict=True), classes)
    metrics = {k: found[k]._asdict() if k in found else None for k in pooled}
    several = len({record['fold'] for record in records}) > 1
    return {
        **{name: records[0][name] for name in _SHARED},
        'logit_adjust': records[0].get('logit_adjust'),
        'replicates': 'folds' if several else 'seeds',
        'runs': [
            {
                **{k: record[k] for k in ('fold', 'seed', 'epoch')},
                'dropped': record.get('dropped'),
                **{k: found[k] for k in ('UAR', 'WAR', 'F1')},
            }
            for record, found in zip(records, figures, strict=True)
        ],
        'metrics': metrics,
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
