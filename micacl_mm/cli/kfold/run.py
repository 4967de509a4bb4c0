"""One fold and seed: train, choose a checkpoint, test, keep the record."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

from micacl_mm.records.machine import COMMAND_VARIABLE
from micacl_mm.records.record import (
    FILE_NAME,
    read_record,
    write_record,
)
from micacl_mm.utils.files import write_text

from ..launch import adjustment_settings
from .checkpoints import choose, count_done, mend
from .differences import differences
from .lock import RunError, claimed
from .options import Options
from .processes import Processes, tool_command

MARKER = 'run.json'
LOG = 'kfold.log'
_IN_RECORD = ('method', 'config_hash', 'seed', 'fold')


class Run(NamedTuple):
    """A training and its test.

    Args:
        folder (Path): Its own.
        facts (dict): What the training is, to be compared with what lies in
            the folder.
        options (Options): What the user wants.
        environment (dict): Variables that the tools get.
        own_options (list[str]): Settings that the training gets beside the
            user's.
        safe (bool): Whether its checkpoints are stored by a
            ``SafeCheckpointHook``. Defaults to False.
    """

    folder: Path
    facts: dict[str, Any]
    options: Options
    environment: dict[str, str]
    own_options: list[str]
    safe: bool = False

    @property
    def name(self) -> str:
        """For people."""
        fold = self.facts['fold']
        seed = f'seed {self.facts["seed"]}'
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
            ValueError: With what differs and what to do.
        """
        marker = self._read_marker()
        if marker is None:
            if any(self.folder.glob('*.pth')):
                raise ValueError(
                    f'kfold: {self.folder} holds a training that kfold did '
                    'not start; choose another --work-dir'
                )
            return
        told = {key: marker.get(key) for key in self.facts}
        other = differences(told, self.facts)
        if other:
            raise ValueError(
                f'kfold: {self.folder} was begun with other settings: '
                f'{"; ".join(other)}; choose another --work-dir, or call it '
                'with the old settings to go on'
            )

    def share(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        loop = self.facts['settings'].get('train_cfg', {})
        planned = loop.get('max_epochs') or loop.get('max_iters')
        return min(1.0, count_done(self.folder) / planned) if planned else 0.0

    def read(self) -> Optional[dict[str, Any]]:
        """Return the record, or None if the run is not finished."""
        with suppress(FileNotFoundError, ValueError):
            record = read_record(self.record_path)
            if self._problem(record) is None:
                return record
        return None

    def execute(self, processes: Processes, command: str) -> dict[str, Any]:
        """Do what is missing.

        Args:
            processes (Processes): Starts the tools.
            command (str): Of this kfold, for the record.

        Returns:
            dict[str, Any]: the record.

        Raises:
            RunError: A tool failed, or there is no result of this run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with claimed(self.folder) as lock:
            self.check()  # another kfold may have been here since
            record = self.read()
            if record is not None:
                return record
            marker = self._read_marker()
            if marker is None:
                marker = self.facts
                self._write_marker(marker)

            def call(tool: str, *arguments: str) -> None:
                code = processes.run(
                    tool_command(tool, arguments, self.options),
                    self.log,
                    {**self.environment, COMMAND_VARIABLE: command},
                    lock,
                )
                if code:
                    raise RunError.of_tool(tool, code)

            if not marker.get('trained'):
                mend(self.folder, self.log, self.safe)
                call('train', *self._train_arguments())
                self._write_marker({**marker, 'trained': True})
            checkpoint = choose(self.folder, self.options.selection)
            if checkpoint is None:
                raise RunError(
                    f'there is no checkpoint for --selection '
                    f'{self.options.selection}; delete {self.folder} to '
                    'train it again'
                )
            call('test', *self._test_arguments(checkpoint))
            return self._keep_record()

    def _train_arguments(self) -> list[str]:
        settings = [*self.options.cfg_options, *self.own_options]
        settings.append(f'randomness.seed={self.facts["seed"]}')
        # Not from the start, for then it would forget load_from.
        resume = ['--resume'] if count_done(self.folder) else []
        if resume:  # or MMEngine would resume from that file
            settings.append('load_from=None')
        return [
            self.options.config,
            *self.options.train_options,
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
                f'{found[-1]} is not of this run: {problem}; was the config '
                f'changed meanwhile? Delete {self.folder} to train it again'
            )
        write_record(record, self.record_path)
        for path in found:  # or it would count twice
            path.unlink()
        return record

    def _problem(self, record: Mapping[str, Any]) -> Optional[str]:
        wanted = {
            **{k: self.facts[k] for k in _IN_RECORD},
            'selection': self.options.selection,
            'logit_adjust': self.options.logit_adjust,
        }
        other = differences({k: record.get(k) for k in wanted}, wanted)
        return '; '.join(other) or None

    def _read_marker(self) -> Optional[dict[str, Any]]:
        try:
            text = (self.folder / MARKER).read_text(encoding='utf-8')
            marker = json.loads(text)
            if not isinstance(marker, dict):
                raise ValueError('no marker')
            return marker
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            raise ValueError(
                f'kfold: {self.folder / MARKER} is damaged; choose another '
                '--work-dir'
            ) from None

    def _write_marker(self, marker: Mapping[str, Any]) -> None:
        text = json.dumps(marker, indent=2) + '\n'
        write_text(self.folder / MARKER, text)
