"""One fold and seed: train, choose a checkpoint, test, keep the record."""

import json
import re
import reprlib
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

from filelock import FileLock, Timeout

from micacl_mm.errors import ConfigError, MICACLError
from micacl_mm.hooks.checkpoint_files import NOTE, find_start, is_whole
from micacl_mm.records.record import FILE_NAME, read_record, write_record
from micacl_mm.utils.files import write_text

from ..launch import adjustment_settings

MARKER = 'run.json'
LOG = 'kfold.log'
_IN_RECORD = ('method', 'config_hash', 'seed', 'fold')
#: Starts a command with variables and a log; returns its exit code.
Start = Callable[[Sequence[str], Path, Mapping[str, str]], int]


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
        return self.folder / LOG

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

    def share(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        loop = self.facts['settings'].get('train_cfg', {})
        planned = loop.get('max_epochs') or loop.get('max_iters')
        done = max(map(_number, self.folder.glob('*.pth')), default=0)
        return min(1.0, done / planned) if planned else 0.0

    def read(self) -> Optional[dict[str, Any]]:
        """Return the record, or None if the run is not finished."""
        with suppress(FileNotFoundError, ValueError):
            record = read_record(self.record_path)
            if self._problem(record) is None:
                return record
        return None

    def execute(self, start: Start) -> dict[str, Any]:
        """Do what is missing.

        Args:
            start (Start): Starts a tool.

        Returns:
            dict[str, Any]: the record.

        Raises:
            RunError: A tool failed, or there is no result of this run.
            ConfigError: Another kfold works in the folder, or has begun
                something else there.
        """
        with _claimed(self.folder):
            self.check()  # another kfold may have been here since
            record = self.read()
            if record is not None:
                return record
            marker = self._read_marker()
            if marker is None:
                marker = self.facts
                self._write_marker(marker)
            if not marker.get('trained'):
                self._call(start, 'train', self._train_arguments())
                self._write_marker({**marker, 'trained': True})
            checkpoint = self.choose()
            if checkpoint is None:
                raise RunError(
                    f'there is no checkpoint for --selection '
                    f'{self.options.selection}',
                    f'delete {self.folder} to train it again',
                )
            self._call(start, 'test', self._test_arguments(checkpoint))
            return self._keep_record()

    def choose(self) -> Optional[Path]:
        """Return the checkpoint to test, None if there is none."""
        files = [path for path in self.folder.glob('*.pth') if is_whole(path)]
        if self.options.selection == 'last':
            return max(filter(_number, files), key=_number, default=None)
        best = [path for path in files if path.name.startswith('best_')]
        return max(best, key=lambda path: path.stat().st_mtime, default=None)

    def _call(self, start: Start, tool: str, arguments: list[str]) -> None:
        command = tool_command(tool, arguments, self.options)
        code = start(command, self.log, self.environment)
        if code:
            raise ToolError(f'{tool} ended with exit code {code}')

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

    def _keep_record(self) -> dict[str, Any]:
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
        return record

    def _problem(self, record: Mapping[str, Any]) -> Optional[str]:
        wanted = {
            **{k: self.facts[k] for k in _IN_RECORD},
            'selection': self.options.selection,
            'logit_adjust': self.options.logit_adjust or None,
        }
        other = differences({k: record.get(k) for k in wanted}, wanted)
        return '; '.join(other) or None

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


def tool_command(
    tool: str, arguments: Sequence[str], options: Namespace
) -> list[str]:
    """Return the command that runs a tool in this interpreter."""
    module = ['-m', 'micacl_mm', tool, *arguments]
    if options.launcher == 'none':
        return [sys.executable, *module]
    return [
        *(sys.executable, '-m', 'torch.distributed.run', '--standalone'),
        *('--nproc-per-node', str(options.nproc), *module),
        *('--launcher', options.launcher),
    ]


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
