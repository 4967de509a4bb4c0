"""Run the checks one after the other; none stops the others."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Optional

from .case import Case
from .finding import FAIL, SKIP, Finding, failed, shorten, skipped
from .registry import CHECKS, Check


def run_checks(case: Case) -> Iterator[Finding]:
    """Run all checks that fit the case.

    Args:
        case (Case): Without a config, what needs one is left out.

    Yields:
        Finding: One or more of each check.
    """
    worst: dict[str, set[str]] = {}
    for check in list(CHECKS.values()):
        if check.needs and not case.options.config:
            continue
        bad = {FAIL, SKIP}
        lacking = [n for n in check.needs if bad & worst.get(n, bad)]
        if lacking:
            found = [skipped(f'needs {", ".join(lacking)}')]
        else:
            found = _look(check, case)
        worst[check.name] = set()
        for finding in found:
            worst[check.name].add(finding.status)
            yield finding._replace(name=check.name)


def _look(check: Check, case: Case) -> list[Finding]:
    """What a check finds; if it breaks, that is a finding too."""
    findings = []
    try:
        with quiet():
            findings = list(check.look(case)) or [failed('nothing found', '')]
    except (Exception, SystemExit) as error:  # the others go on
        told = shorten(f'{type(error).__name__}: {error}')
        findings.append(
            failed(
                f'the check itself broke, {told}',
                'report this line, or mend what it says',
            )
        )
    return findings


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries print and log from between the lines."""
    logger = _logger()
    level = logger.level if logger else 0
    try:
        if logger:
            logger.setLevel(logging.CRITICAL)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        if logger:
            logger.setLevel(level)


def _logger() -> Optional[logging.Logger]:
    try:
        from mmengine.logging import MMLogger

        # Made here if there is none yet: it keeps the stdout that it finds.
        return MMLogger.get_current_instance()
    except Exception:  # the installation may be what is ill
        return None
