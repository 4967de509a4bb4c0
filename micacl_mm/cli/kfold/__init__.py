"""Folds and seeds of one config, over the stock train and test tools."""

from collections.abc import Sequence

from .options import RULES, parse_options
from .plan import make_plan
from .report import format_summary, summarise, write_summary
from .sweep import run_all

__all__ = ['main']


def main(argv: Sequence[str]) -> int:
    """Run what is not finished and report.

    Returns:
        int: exit code: 0, 1 for a failed run, 130 if interrupted.

    Raises:
        ConfigError: Options, config or folders do not allow it.
    """
    options = parse_options(argv)
    runs = make_plan(options)
    for run in runs:
        run.check()
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
