"""Check machine, installation and, with a config, data and model.

One line per check, with a suggested fix. Nothing is written beside the data.

  micacl doctor
  micacl doctor micacl_dfew --data-root /data/DFEW
  micacl doctor micacl_dfew --decode all --json doctor.json

Exit code: 0 if nothing failed, 1 if something did, 2 for a wrong argument,
130 after Ctrl-C.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.doctor.core import (
    FAIL,
    STATUSES,
    Case,
    Finding,
    run_checks,
)
from micacl_mm.options import find_config, help_options, take_options
from micacl_mm.version import __version__

from . import add_cfg_options, make_parser


def parse_args(argv: Sequence[str], *, whole: bool) -> argparse.Namespace:
    """Read the command line; options of the data go to the environment."""
    parser = make_parser('doctor', __doc__)
    parser.epilog = f'options of the data:\n{help_options()}'
    add = parser.add_argument
    add('config', nargs='?', help='config of a training')
    add('--checkpoint', metavar='FILE', help='a checkpoint that should fit')
    add('--work-dir', metavar='DIR', help='where the training will write')
    add(
        '--decode',
        type=_clips,
        default=100,
        metavar='N',
        help='clips to decode, every frame of them, or all; default: 100',
    )
    add('--json', type=Path, metavar='FILE', help='write the findings there')
    add_cfg_options(parser)
    if not whole:
        found = parser.parse_known_args(argv)[0]
        found.config = None  # or the value of an unknown option
        return found
    found = parser.parse_args(take_options(argv))
    found.config = found.config and find_config(found.config)
    return found


def _clips(text: str) -> Optional[int]:
    if text != 'all' and not text.isdecimal():
        raise argparse.ArgumentTypeError(f'must be a number or all: {text!r}')
    return None if text == 'all' else int(text)


def main(argv: Sequence[str], broken: Optional[BaseException] = None) -> int:
    """Run the checks, print a line for each, and return the exit code.

    If the package is broken, only the installation is checked.
    """
    options = parse_args(argv, whole=broken is None)
    findings: list[Finding] = []
    for finding in run_checks(Case(options, broken)):
        findings.append(finding)
        print(_line(finding), flush=True)
    if broken is not None:
        rest = Finding.skipped('all others need micacl_mm')._replace(
            name='rest'
        )
        findings.append(rest)
        print(_line(rest))
    counts = Counter(finding.status for finding in findings)
    summary = {status: counts[status] for status in STATUSES}
    print('\n' + ', '.join(f'{n} {name}' for name, n in summary.items()))
    code = int(counts[FAIL] > 0)
    if options.json:
        whole = dict(
            schema=1,
            version=__version__,
            config=options.config,
            exit_code=code,
            summary=summary,
            findings=[finding._asdict() for finding in findings],
        )
        text = json.dumps(whole, indent=1, ensure_ascii=False)
        options.json.write_text(f'{text}\n', encoding='utf-8')
    return code


def _line(finding: Finding) -> str:
    text = f'{finding.status} {finding.name}: {finding.found}'
    return f'{text}\n     fix: {finding.cure}' if finding.cure else text
