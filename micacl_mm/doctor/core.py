"""What a check is, what it finds, and how all of them run."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from micacl_mm.errors import MICACLError

if TYPE_CHECKING:  # the doctor also runs where these cannot be imported
    from mmengine.config import Config
    from torch import nn

    from micacl_mm.datasets.splits import SplitRow

    from .clips import Clip, ClipReport

PASS, WARN, FAIL, SKIP = STATUSES = ('PASS', 'WARN', 'FAIL', 'SKIP')


class Finding(NamedTuple):
    """A line of the report.

    Attributes:
        status (str): ``'PASS'``, ``'WARN'``, ``'FAIL'`` or ``'SKIP'``.
        found (str): What was found, in a sentence.
        cure (str): What to do about it; of WARN and FAIL.
        name (str): That of the check, filled in by :func:`run_checks`.
    """

    status: str
    found: str
    cure: str = ''
    name: str = ''


def passed(found: str) -> Finding:
    """Nothing is wrong."""
    return Finding(PASS, found)


def warned(found: str, cure: str) -> Finding:
    """It works, but not as well or not as intended."""
    return Finding(WARN, found, cure)


def failed(found: str, cure: str) -> Finding:
    """It does not work, or gives wrong results."""
    return Finding(FAIL, found, cure)


def skipped(why: str) -> Finding:
    """It was not checked."""
    return Finding(SKIP, why)


def blamed(error: BaseException, cure: str) -> Finding:
    """A FAIL in the words of an error.

    Args:
        error (BaseException): The error; its ``cure`` is used if it has one.
        cure (str): What to do otherwise.
    """
    text = str(error)
    if isinstance(error, MICACLError):
        text, cure = error.problem, error.cure or cure
    text, kind = shorten(text), type(error).__name__
    if not text or not isinstance(error, (ValueError, OSError, ImportError)):
        text = f'{kind}: {text}' if text else kind
    return failed(text, shorten(cure).rstrip('.'))


def shorten(text: str, most: int = 400) -> str:
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


@dataclass
class Case:
    """A machine, and perhaps a config with its data.

    Early checks fill in what later ones use.

    Attributes:
        options (argparse.Namespace): The command line.
        broken (BaseException, optional): Why the package cannot be imported.
        config (Config, optional): That of the command line.
        model (nn.Module, optional): Built from it.
        datasets (dict[str, list]): By loader; several if concatenated.
        rows (dict): Rows of the split files by variant (fold or subset) and
            split.
        clips (list[Clip]): All clips that are on the disk, each once.
        absent (dict[str, str]): Loader by path of those that are not.
        reports (list[ClipReport], optional): Of the decoded clips.
        samples (dict[str, Any]): The first sample of each loader.
    """

    options: argparse.Namespace
    broken: Optional[BaseException] = None
    config: Optional[Config] = None
    model: Optional[nn.Module] = None
    datasets: dict[str, list] = field(default_factory=dict)
    rows: dict[tuple[Any, str], list[SplitRow]] = field(default_factory=dict)
    clips: list[Clip] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    reports: Optional[list[ClipReport]] = None
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def work_dir(self) -> Path:
        """Where a training would write."""
        given = self.options.work_dir
        given = given or (self.config and self.config.get('work_dir'))
        if given:
            return Path(given)
        name = Path(self.options.config).stem if self.options.config else ''
        return Path('work_dirs', name)

    def loaders(self) -> Iterator[tuple[str, dict]]:
        """Name and settings of each loader of the config."""
        for name in ('train', 'val', 'test'):
            loader = self.config and self.config.get(f'{name}_dataloader')
            if loader:
                yield name, loader

    def built(self) -> Iterator[tuple[str, Any]]:
        """Loader and dataset, without wrappers."""
        for name, datasets in self.datasets.items():
            for dataset in datasets:
                yield name, dataset

    def hook(self, name: str) -> Optional[dict]:
        """Settings of a custom hook, None if the config has none of it."""
        hooks = (self.config and self.config.get('custom_hooks')) or []
        return next((hook for hook in hooks if kind(hook) == name), None)


def kind(settings: Optional[dict]) -> str:
    """Name of the class of some settings, ``''`` if they have none.

    In a pure-Python config the class itself is given.
    """
    found = (settings or {}).get('type') or ''
    return getattr(found, '__name__', str(found).rsplit('.', 1)[-1])


Look = Callable[[Case], Iterator[Finding]]


class Check(NamedTuple):
    """A check, the checks that it builds upon, and its module."""

    look: Look
    needs: tuple[str, ...]
    module: str


#: All checks by name, in the order in which their modules are imported.
CHECKS: dict[str, Check] = {}


def check(name: str, *needs: str) -> Callable[[Look], Look]:
    """Register a check.

    Args:
        name (str): For the report.
        *needs (str): Names of earlier checks; this one is skipped if one of
            them fails. Every check of a config has some.

    Example:
        >>> @check('weather')
        ... def weather(case):
        ...     yield passed('fine')
    """

    def register(look: Look) -> Look:
        CHECKS[name] = Check(look, needs, look.__module__)
        return look

    return register


def run_checks(case: Case) -> Iterator[Finding]:
    """Run all checks that fit the case; none stops the others.

    Args:
        case (Case): Without a config, checks that need one are omitted.

    Yields:
        Finding: One or more of each check.
    """
    worst: dict[str, set[str]] = {}
    for name, known in list(CHECKS.items()):
        if known.needs and not case.options.config:
            continue
        bad = {FAIL, SKIP}
        lacking = [n for n in known.needs if bad & worst.get(n, bad)]
        if lacking:
            found = [skipped(f'needs {", ".join(lacking)}')]
        else:
            found = _look(known.look, case)
        worst[name] = {finding.status for finding in found}
        for finding in found:
            yield finding._replace(name=name)


def _look(look: Look, case: Case) -> list[Finding]:
    findings = []
    try:
        with quiet():
            findings += look(case)
    except (Exception, SystemExit) as error:
        text = shorten(f'{type(error).__name__}: {error}')
        cure = 'report this line as a bug'
        if isinstance(error, PermissionError):
            cure = f'make {error.filename or "the file"} readable'
        findings.append(failed(f'the check could not finish, {text}', cure))
    return findings


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what libraries print and log between the lines."""
    try:
        from mmengine.logging import MMLogger

        # Made here if there is none: it keeps the stdout that it finds.
        logger = MMLogger.get_current_instance()
    except Exception:  # the installation may be broken
        logger = logging.getLogger('micacl_mm')
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
