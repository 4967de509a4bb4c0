"""The doctor as a command."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Optional

from micacl_mm.utils.files import write_text
from micacl_mm.version import __version__

from . import facts
from .core import (
    CHECKS,
    FAIL,
    STATUSES,
    WARN,
    Case,
    Finding,
    run_checks,
    shorten,
    skipped,
)

DESCRIPTION = """\
Check machine, installation and, with a config, data and model before a
training: one line per check, with a suggested fix.

  micacl doctor
  micacl doctor micacl_dfew --data-root /data/DFEW
  micacl doctor micacl_dfew --decode all --json doctor.json

Nothing is written beside the data."""
EPILOG = """\
Exit code: 0 if nothing failed, 1 if something did, 2 for a wrong argument,
130 after Ctrl-C."""


def main(
    arguments: Optional[Sequence[str]] = None,
    broken: Optional[BaseException] = None,
) -> int:
    """Run the checks, print a line for each, and return the exit code.

    Args:
        arguments (Sequence[str], optional): Defaults to None, the command
            line of this process.
        broken (BaseException, optional): Why the package cannot be imported;
            only the installation is checked then. Defaults to None.

    Returns:
        int: 0 without a FAIL, 1 with one, 2 for wrong usage, 130 for Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parse(arguments, whole=broken is None)
    except SystemExit as error:  # argparse has printed why
        return int(error.code or 0)
    findings: list[Finding] = []
    try:
        load(whole=broken is None)
        for finding in run_checks(Case(options, broken)):
            findings.append(finding)
            print(_line(finding), flush=True)
        if broken is not None:
            rest = skipped('all others need micacl_mm')._replace(name='rest')
            findings.append(rest)
            print(_line(rest))
        counts = Counter(finding.status for finding in findings)
        summary = {status: counts[status] for status in STATUSES}
        print('\n' + ', '.join(f'{n} {name}' for name, n in summary.items()))
        code = int(bool(counts[FAIL] or options.strict and counts[WARN]))
        if options.json:
            _write_json(options, findings, summary, code)
    except KeyboardInterrupt:
        print(
            '\nstopped; with --decode all the same command continues',
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(
            f'error: {options.json} cannot be written: {shorten(error)}',
            file=sys.stderr,
        )
        return 2
    return code


def load(*, whole: bool) -> None:
    """Register the checks; without ``whole`` those of the installation."""
    rest = ('configs', 'clips', 'splits', 'training', 'machine')
    rest = rest if whole else ()
    names = [f'{__package__}.{name}' for name in ('install', *rest)]
    for name in names:
        import_module(name)
    checks = sorted(CHECKS.items(), key=lambda it: names.index(it[1].module))
    CHECKS.clear()
    CHECKS.update(checks)


def _line(finding: Finding) -> str:
    text = f'{finding.status} {finding.name}: {finding.found}'
    return f'{text}\n     fix: {finding.cure}' if finding.cure else text


def _write_json(
    options: argparse.Namespace,
    findings: Sequence[Finding],
    summary: dict[str, int],
    code: int,
) -> None:
    whole = dict(
        schema=1,
        version=__version__,
        config=options.config,
        exit_code=code,
        summary=summary,
        findings=[
            dict(name=f.name, status=f.status, found=f.found, cure=f.cure)
            for f in findings
        ],
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False) + '\n'
    write_text(Path(options.json), text)


def _parse(arguments: Sequence[str], *, whole: bool) -> argparse.Namespace:
    """Read the command line; options of the data go to the environment."""
    parser = _parser()
    if not whole:
        found = parser.parse_known_args(arguments)[0]
        found.config = None  # or the value of an unknown option
        return found
    from mmengine.config import DictAction

    from micacl_mm.options import find_config, help_options, take_options

    parser.epilog = f'options of the data:\n{help_options()}\n\n{EPILOG}'
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the config to change, KEY=VALUE',
    )
    try:
        found = parser.parse_args(take_options(arguments))
        found.config = found.config and find_config(found.config)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    found.workers = found.workers or facts.cores()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='micacl doctor',
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', nargs='?', help='config of a training')
    add('--checkpoint', metavar='FILE', help='a checkpoint that should fit')
    add('--work-dir', metavar='DIR', help='where the training will write')
    add(
        '--decode',
        choices=('sample', 'all', 'none'),
        default='sample',
        help='clips to decode, every frame of them; default: sample',
    )
    add(
        '--sample',
        type=_positive,
        default=100,
        metavar='N',
        help='clips of --decode sample; default: 100',
    )
    add(
        '--workers',
        type=_positive,
        metavar='N',
        help='processes that decode; default: one per core',
    )
    add(
        '--state',
        metavar='FILE',
        help='record of decoded clips, from which a stopped run continues; '
        'default: with --decode all doctor_decode.jsonl in the work dir',
    )
    add(
        '--batch',
        type=_positive,
        metavar='N',
        help="clips of the trial batch; default: the config's, 4 on a CPU",
    )
    add(
        '--backward',
        action='store_true',
        help='also compute the gradients of the batch',
    )
    add('--strict', action='store_true', help='a WARN counts as a FAIL')
    add('--json', metavar='FILE', help='write the findings there, too')
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {text!r}')
    return int(text)
