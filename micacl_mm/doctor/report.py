"""Findings as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.utils.files import write_text
from micacl_mm.version import __version__

from .finding import FAIL, STATUSES, WARN, Finding

SCHEMA = 1


def line(finding: Finding) -> str:
    """A finding as it is printed; its cure stands below it."""
    text = f'{finding.status} {finding.name}: {finding.found}'
    return f'{text}\n     cure: {finding.cure}' if finding.cure else text


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each kind there are."""
    counts = count(findings)
    return ', '.join(f'{counts[status]} {status}' for status in STATUSES)


def count(findings: Sequence[Finding]) -> dict[str, int]:
    """Number of findings by status, zeros too."""
    counts = Counter(finding.status for finding in findings)
    return {status: counts[status] for status in STATUSES}


def exit_code(findings: Sequence[Finding], *, strict: bool) -> int:
    """0 if all is well, 1 if something failed."""
    bad = {FAIL, WARN} if strict else {FAIL}
    return int(any(finding.status in bad for finding in findings))


def write_json(
    path: str, findings: Sequence[Finding], config: Optional[str], code: int
) -> None:
    """Write the findings, whole or not at all.

    Raises:
        OSError: They cannot be written.
    """
    whole = dict(
        schema=SCHEMA,
        version=__version__,
        config=config,
        exit_code=code,
        summary=count(findings),
        findings=[
            dict(name=f.name, status=f.status, found=f.found, cure=f.cure)
            for f in findings
        ],
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False) + '\n'
    write_text(Path(path), text)
