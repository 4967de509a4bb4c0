"""The doctor as a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Optional

from .case import Case
from .checks import load
from .finding import Finding, shorten, skipped
from .options import parse_options
from .report import exit_code, line, summary, write_json
from .running import run_checks


def main(
    arguments: Optional[Sequence[str]] = None,
    broken: Optional[BaseException] = None,
) -> int:
    """Examine, print a line a check, and return the exit code.

    Args:
        arguments (Sequence[str], optional): Defaults to None, the command
            line of this process.
        broken (BaseException, optional): Why the package cannot be imported;
            the installation alone is examined then. Defaults to None.

    Returns:
        int: 0 without a FAIL, 1 with one, 2 for wrong usage, 130 for Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = parse_options(arguments, whole=broken is None)
    except SystemExit as error:  # argparse has said why
        return int(error.code or 0)
    findings: list[Finding] = []
    try:
        load(whole=broken is None)
        for finding in run_checks(Case(options, broken)):
            findings.append(finding)
            print(line(finding), flush=True)
        if broken is not None:
            rest = skipped('all others need micacl_mm')._replace(name='rest')
            findings.append(rest)
            print(line(rest))
        code = exit_code(findings, strict=options.strict)
        print(f'\n{summary(findings)}')
        if options.json:
            write_json(options.json, findings, options.config, code)
    except KeyboardInterrupt:
        print(
            '\nstopped; with --decode all the same command goes on from here',
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
