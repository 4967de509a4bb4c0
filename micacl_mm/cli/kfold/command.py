"""The kfold tool."""

import sys
from collections.abc import Sequence
from typing import Optional

from .options import RULES, parse_options
from .plan import make_plan
from .report import format_summary, summarise, write_summary
from .sweep import run_all


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run what is not finished and report.

    Args:
        arguments (Sequence[str], optional): Defaults to None, the command
            line of this process.

    Returns:
        int: exit code: 0, 1 for a failed or refused run, 130 if interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parse_options(arguments)
        runs = make_plan(options)
        for run in runs:
            run.check()
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f'{runs[0].facts["method"]}: {len(runs)} runs in {options.work_dir}\n'
        f'tested: {RULES[options.selection]}',
        flush=True,
    )
    code = run_all(runs, options.jobs)
    if code:
        return code
    records = [run.read() for run in runs]
    summary = summarise(records)
    suffix = options.rule.removeprefix(options.selection)
    write_summary(summary, records, options.work_dir, suffix)
    print(
        f'\n{format_summary(summary)}\n'
        f'Tested: {RULES[options.selection]}.\n\nwritten to '
        f'{options.work_dir}/summary{suffix}.json and rows{suffix}.csv'
    )
    return 0
