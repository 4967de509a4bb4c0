"""The runs of kfold: train, choose a checkpoint, test, keep the record."""

import json
import os
import re
import reprlib
import shlex
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Optional

from filelock import FileLock, Timeout

from micacl_mm.errors import ConfigError, MICACLError
from micacl_mm.hooks.checkpoint_files import NOTE, find_start, is_whole
from micacl_mm.records.machine import COMMAND_VARIABLE, command_line
from micacl_mm.records.record import (
    FILE_NAME,
    metric_of,
    read_record,
    write_record,
)
from micacl_mm.utils.files import write_text
from micacl_mm.utils.workers import count_cores

from .launch import adjustment_settings

MARKER = 'run.json'
_IN_RECORD = ('method', 'config_hash', 'seed', 'fold')
_SHOWN = 15  # lines of the log of a failed run
_LOOK = 0.2  # seconds between two looks at the tools
_PATIENCE = 15  # seconds that a tool has to end by itself


class RunError(MICACLError):
    """A run did not come to its end; the message says why."""


class ToolError(RunError):
    """A tool has failed; the end of its log says more."""


class Run(NamedTuple):
    """A training and its test.

    Args:
        folder (Path): Its own.
        facts (dict): What the training is; a folder with another one is
            refused.
        options (Namespace): What the user wants.
        environment (dict): Variables that the tools get.
        own_settings (list[str]): Settings of the config that the training
            gets beside the user's.
    """

    folder: Path
    facts: dict[str, Any]
    options: Namespace
    environment: dict[str, str]
    own_settings: list[str]

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
        """Refuse a folder in which something else was begun.

        Raises:
            ConfigError: With what differs and what to do.
        """
        marker = self._read_marker()
        if marker is None:
            if any(self.folder.glob('*.pth')):
                raise ConfigError(
                    f'{self.folder} holds a training that kfold did not start',
                    'choose another --work-dir',
                )
            return
        known = {key: marker.get(key) for key in self.facts}
        other = differences(known, self.facts)
        if other:
            raise ConfigError(
                f'{self.folder} was begun with other settings: '
                f'{"; ".join(other)}',
                'choose another --work-dir, or use the old settings',
            )

    def read(self) -> Optional[dict[str, Any]]:
        """Return the record, or None if the run is not finished."""
        with suppress(FileNotFoundError, ValueError):
            record = read_record(self.record_path)
            if not self._problem(record):
                return record
        return None

    def steps(self) -> Iterator[list[str]]:
        """Yield the commands that are left; in the end there is a record.

        Each must have ended well before the next is asked for.

        Raises:
            RunError: The result is absent or of another run.
            ConfigError: Another kfold works in the folder, or has begun
                something else there.
        """
        with _claimed(self.folder):
            self.check()  # another kfold may have been here since
            if self.read() is not None:
                return
            marker = self._read_marker() or self.facts
            self._write_marker(marker)
            if not marker.get('trained'):
                yield self._command('train', self._train_arguments())
                self._write_marker({**marker, 'trained': True})
            checkpoint = self.choose()
            if checkpoint is None:
                raise RunError(
                    f'there is no checkpoint for --selection '
                    f'{self.options.selection}',
                    f'delete {self.folder} to train it again',
                )
            yield self._command('test', self._test_arguments(checkpoint))
            self._keep_record()

    def choose(self) -> Optional[Path]:
        """Return the checkpoint to test, None if there is none."""
        files = [path for path in self.folder.glob('*.pth') if is_whole(path)]
        if self.options.selection == 'last':
            return max(filter(_number, files), key=_number, default=None)
        best = [path for path in files if path.name.startswith('best_')]
        return max(best, key=lambda path: path.stat().st_mtime, default=None)

    def _command(self, tool: str, arguments: Sequence[str]) -> list[str]:
        module = ['-m', 'micacl_mm', tool, *arguments]
        if self.options.launcher == 'none':
            return [sys.executable, *module]
        return [
            *(sys.executable, '-m', 'torch.distributed.run', '--standalone'),
            *('--nproc-per-node', str(self.options.nproc), *module),
            *('--launcher', self.options.launcher),
        ]

    def _train_arguments(self) -> list[str]:
        settings = [
            *self.options.cfg_options,
            *self.options.train_options,
            *self.own_settings,
            f'randomness.seed={self.facts["seed"]}',
        ]
        by_iter = 'max_iters' in self.facts['settings'].get('train_cfg', {})
        template = 'iter_{}.pth' if by_iter else 'epoch_{}.pth'
        begun, _ = find_start(self.folder / NOTE, self.folder, template)
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
        return '; '.join(
            differences({k: record.get(k) for k in wanted}, wanted)
        )

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


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep another kfold out of a folder.

    Raises:
        ConfigError: One works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / '.kfold.lock', timeout=0):
            yield
    except Timeout:
        raise ConfigError(
            f'another kfold works in {folder}', 'wait for its end'
        ) from None


def differences(old: Any, new: Any, name: str = '') -> list[str]:
    """Say where two nested settings differ, ``['a.b 1, now 2']``."""
    lists = isinstance(old, list) and isinstance(new, list)
    if lists and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        said = f'{name} {reprlib.repr(old)}, now {reprlib.repr(new)}'
        return [] if old == new else [said]
    return [
        found
        for key in dict.fromkeys([*new, *old])
        for found in differences(
            old.get(key), new.get(key), f'{name}.{key}' if name else str(key)
        )
    ]


def _number(path: Path) -> int:
    """Epoch, or iteration, of a checkpoint; 0 for the best ones."""
    found = re.fullmatch(r'(?:epoch|iter)_(\d{1,15})\.pth', path.name)
    return int(found[1]) if found else 0


# --- all of them ------------------------------------------------------------


def run_all(runs: Sequence[Run], jobs: int) -> int:
    """Run what is not finished.

    Args:
        runs (Sequence[Run]): In the order in which they start.
        jobs (int): How many at the same time.

    Returns:
        int: exit code: 0, 1 if a run failed, 130 if interrupted.
    """
    todo = []
    for run in runs:
        record = run.read()
        if record is None:
            todo.append(run)
        else:
            _say(f'{run.name}: finished before, {_figures(record)}')
    active: list[_Active] = []
    with _interruptible() as asked:
        try:
            code = _follow(todo, active, jobs, asked)
        finally:  # some are active after an interrupt or an error
            for run in active:
                run.terminate()
            for run in active:
                run.end()
    if asked:
        _say('\nstopped; the same command continues from here')
        return 130
    return code


def _follow(
    todo: list[Run], active: list['_Active'], jobs: int, asked: Sequence[int]
) -> int:
    """Start the runs and report how they end, until asked to stop."""
    code, done, total, started = 0, 0, len(todo), time.monotonic()
    environment = _environment(jobs)
    while (active or todo) and not asked:
        while todo and len(active) < jobs:
            active.append(_Active(todo.pop(0), environment))
        for one in list(active):
            try:
                if one.goes_on():
                    continue
                done += 1
                elapsed = time.monotonic() - started
                rest = elapsed / done * (total - done)
                left = f', about {_clock(rest)} left' if rest else ''
                _say(
                    f'{one.run.name}: {_figures(one.run.read())}; {done} of '
                    f'{total} done in {_clock(elapsed)}{left}'
                )
            except (RunError, ValueError, OSError) as error:
                _report_failure(one.run, error)
                # Those that run may end, no further one starts.
                code, todo = 1, []
            active.remove(one)
        time.sleep(_LOOK if active else 0)
    return code


def _environment(jobs: int) -> dict[str, str]:
    """Variables of the tools; runs at the same time share the cores."""
    found = {**os.environ, COMMAND_VARIABLE: command_line()}
    if jobs > 1 and 'OMP_NUM_THREADS' not in os.environ:
        threads = max(1, count_cores() // (2 * jobs))
        found['OMP_NUM_THREADS'] = str(threads)
    return found


class _Active:
    """A run whose tools are started one after the other."""

    def __init__(self, run: Run, environment: Mapping[str, str]) -> None:
        self.run = run
        self._environment = {**environment, **run.environment}
        self._steps = run.steps()
        self._process: Optional[subprocess.Popen] = None
        self._tool = ''
        _say(f'{run.name}: running, log in {run.log}')

    def goes_on(self) -> bool:
        """Start the next tool if the last one has ended; False at the end."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return True
            if code:
                self._steps.close()
                raise ToolError(f'{self._tool} ended with exit code {code}')
        command = next(self._steps, None)
        if command is None:
            return False
        self._tool = command[command.index('micacl_mm') + 1]
        with self.run.log.open('ab') as stream:
            stream.write(f'\n$ {shlex.join(command)}\n'.encode())
            stream.flush()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        return True

    def terminate(self) -> None:
        """Ask the tool that runs to end."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for the end of the tool, or kill it."""
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._steps.close()


def _report_failure(run: Run, error: Exception) -> None:
    lines = []
    if isinstance(error, ToolError):
        text = run.log.read_text(errors='replace')
        lines = text.rstrip().splitlines()[-_SHOWN:]
    shown = ''.join(f'  | {line}\n' for line in lines)
    _say(
        f'{shown}{run.name}: failed, {error}\nIts log is {run.log}. '
        'Finished runs stay; the same command tries again.'
    )


def _figures(record: dict[str, Any]) -> str:
    uar, war = (100 * metric_of(record, name) for name in ('UAR', 'WAR'))
    return f'UAR {uar:.2f}, WAR {war:.2f}, epoch {record["epoch"]}'


def _clock(seconds: float) -> timedelta:
    return timedelta(seconds=round(seconds))


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Note Ctrl-C, a closed terminal and ``kill``.

    They raise nothing, so that no tool starts unnoticed. Once one has come,
    all of them stay ignored: the tools get their time to end, and so does
    this process.

    Yields:
        list[int]: The signals so far.
    """
    names = ('SIGINT', 'SIGTERM', 'SIGHUP')  # Windows lacks the last
    numbers = [getattr(signal, n) for n in names if hasattr(signal, n)]
    before = {number: signal.getsignal(number) for number in numbers}
    asked: list[int] = []
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda found, _: asked.append(found))
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if asked else handler)
