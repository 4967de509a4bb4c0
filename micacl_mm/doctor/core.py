"""What a check is, what it finds, and how all of them run."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from micacl_mm.errors import MICACLError

if TYPE_CHECKING:  # the doctor also runs where these cannot be imported
    from mmengine.config import Config
    from torch import nn
    from torch.utils.data import DataLoader

    from micacl_mm.datasets.base import BaseDFERDataset
    from micacl_mm.datasets.splits import SplitRow

    from .clips import Clip, ClipReport

PASS, WARN, FAIL, SKIP = STATUSES = ('PASS', 'WARN', 'FAIL', 'SKIP')
_MODULES = ('install', 'configs', 'splits', 'clips', 'training', 'machine')


class Finding(NamedTuple):
    """A line of the report."""

    #: ``'PASS'``, ``'WARN'``, ``'FAIL'`` or ``'SKIP'``.
    status: str
    found: str
    #: What to do about a WARN or FAIL.
    cure: str = ''
    #: Of the check.
    name: str = ''

    @classmethod
    def passed(cls, found: str) -> Finding:
        """Nothing is wrong."""
        return cls(PASS, found)

    @classmethod
    def warned(cls, found: str, cure: str) -> Finding:
        """It works, but not as well or not as intended."""
        return cls(WARN, found, cure)

    @classmethod
    def failed(cls, found: str, cure: str) -> Finding:
        """It does not work, or gives wrong results."""
        return cls(FAIL, found, cure)

    @classmethod
    def skipped(cls, why: str) -> Finding:
        """It was not checked."""
        return cls(SKIP, why)

    @classmethod
    def blamed(cls, error: BaseException, cure: str) -> Finding:
        """A FAIL in the words of an error, with its cure or another."""
        text, kind = str(error), type(error).__name__
        if isinstance(error, MICACLError):
            text, cure = error.problem, error.cure or cure
        named = isinstance(error, (ValueError, OSError, ImportError))
        if not text or not named:
            text = f'{kind}: {text}' if text else kind
        return cls.failed(shorten(text), shorten(cure).rstrip('.'))


def shorten(text: object, most: int = 400) -> str:
    """Text on one line, cut where it gets too long."""
    line = ' '.join(str(text).split())
    return line if len(line) <= most else line[: most - 3] + '...'


def number(count: int, what: str) -> str:
    """``'1 clip'``, ``'2 clips'``."""
    return f'{count} {what}' if count == 1 else f'{count} {what}s'


def some(names: list[str], most: int = 3) -> str:
    """The first few of many names, and how many there are more."""
    more = f' and {len(names) - most} more' if names[most:] else ''
    return ', '.join(names[:most]) + more


def kind(settings: Optional[dict]) -> str:
    """Name of the class of some settings, ``''`` if they have none.

    In a pure-Python config the class itself is given.
    """
    found = (settings or {}).get('type') or ''
    return getattr(found, '__name__', str(found).rsplit('.', 1)[-1])


@dataclass
class Case:
    """A machine, and perhaps a config with its data.

    Early checks fill in what later ones use.
    """

    options: argparse.Namespace
    #: Why the package cannot be imported.
    broken: Optional[BaseException] = None
    #: What the check at work has logged as a warning.
    log: list[str] = field(default_factory=list)
    config: Optional[Config] = None
    model: Optional[nn.Module] = None
    #: ``'train'``, ``'val'``, ``'test'``; their data sets without wrappers.
    loaders: dict[str, DataLoader] = field(default_factory=dict)
    datasets: dict[str, list] = field(default_factory=dict)
    #: Of the split files by variant (fold or subset) and split.
    rows: dict[tuple[Any, str], list[SplitRow]] = field(default_factory=dict)
    #: All that are on the disk, each once.
    clips: list[Clip] = field(default_factory=list)
    reports: list[ClipReport] = field(default_factory=list)
    #: The first one of each loader.
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def work_dir(self) -> Path:
        """Where a training would write."""
        given = self.options.work_dir
        given = given or (self.config and self.config.get('work_dir'))
        return Path(given or Path('work_dirs', Path(self.options.config).stem))

    def built(self) -> Iterator[tuple[str, Any]]:
        """Loader and dataset, without wrappers."""
        for name, datasets in self.datasets.items():
            for dataset in datasets:
                yield name, dataset

    @property
    def ours(self) -> Optional[BaseDFERDataset]:
        """The first data set of this package."""
        from micacl_mm.datasets.base import BaseDFERDataset

        ours = (d for _, d in self.built() if isinstance(d, BaseDFERDataset))
        return next(ours, None)

    def hook(self, name: str) -> Optional[dict]:
        """Settings of a custom hook, None if the config has none of it."""
        hooks = (self.config and self.config.get('custom_hooks')) or []
        return next((hook for hook in hooks if kind(hook) == name), None)


@dataclass
class Check:
    """A check, and the earlier ones without which it is skipped.

    Every check of a config needs some.
    """

    name: str
    needs: tuple[str, ...]
    look: Callable[[Case], Iterator[Finding]]

    def __call__(self, case: Case) -> Iterator[Finding]:
        """Look, and yield what is found."""
        return self.look(case)


def check(name: str, *needs: str) -> Callable[[Callable], Check]:
    """Make a check of a function."""
    return partial(Check, name, needs)


def load_checks(*, whole: bool) -> list[Check]:
    """All checks, in order; without ``whole`` those of the installation."""
    return [
        found
        for name in _MODULES[: None if whole else 1]
        for found in vars(import_module(f'.{name}', __package__)).values()
        if isinstance(found, Check)
    ]


def run_checks(case: Case) -> Iterator[Finding]:
    """Run all checks that fit the case; none stops the others."""
    bad = {FAIL, SKIP}
    worst: dict[str, set[str]] = {}
    for known in load_checks(whole=case.broken is None):
        if known.needs and not case.options.config:
            continue
        lacking = [n for n in known.needs if bad & worst.get(n, bad)]
        if lacking:
            found = [Finding.skipped(f'needs {", ".join(lacking)}')]
        else:
            found = _look(known, case)
        worst[known.name] = {finding.status for finding in found}
        for finding in found:
            yield finding._replace(name=known.name)


def _look(look: Check, case: Case) -> list[Finding]:
    findings = []
    try:
        with quiet() as case.log:
            findings += look(case)
    except (Exception, SystemExit) as error:
        text = shorten(f'{type(error).__name__}: {error}')
        cure = 'report this line as a bug'
        if isinstance(error, PermissionError):
            cure = f'make {error.filename or "the file"} readable'
        findings.append(
            Finding.failed(f'the check could not finish, {text}', cure)
        )
    return findings


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Suppress what libraries print; yield what they log as warnings."""
    try:
        from mmengine.logging import MMLogger

        logger = MMLogger.get_current_instance()
    except Exception:  # the installation may be broken
        logger = logging.getLogger('micacl_mm')
    lines: list[str] = []
    collector = logging.Handler(logging.WARNING)
    collector.emit = lambda record: lines.append(record.getMessage())
    handlers, logger.handlers = logger.handlers, [collector]
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            yield lines
    finally:
        logger.handlers = handlers
