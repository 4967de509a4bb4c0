"""Measure speed and memory against what one would pick instead.

Every figure is a ratio of two things run in turn on this machine, ours over
the other: less is better. docs/speed.md says how to read them.

  python -m tools.dev.benchmark                      all that a CPU tells
  python -m tools.dev.benchmark --parts step necks   some parts
  python -m tools.dev.benchmark gpu                  all that a GPU tells
  python -m tools.dev.benchmark --compare results/benchmark_cpu.json
                                                 exit code 1 if a ratio got
                                                 worse
  python -m tools.dev.benchmark --docs results/benchmark_cpu.json
                                                 fill the tables of
                                                 docs/speed.md, measure nothing
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import torch

from micacl_mm.cli.launch import limit_threads
from tools.dev.benchmark import docs, regressions
from tools.dev.benchmark.options import Options
from tools.dev.benchmark.parts import ON_CPU, ON_GPU, PARTS, measure_part
from tools.dev.benchmark.report import (
    all_tables,
    describe,
    headline,
    read_report,
    table_text,
    write_report,
)

PAGE = Path(__file__).resolve().parents[3] / 'docs' / 'speed.md'


def parse_arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('where', nargs='?', choices=('cpu', 'gpu'), default='cpu')
    add('--parts', nargs='+', choices=list(PARTS), metavar='PART')
    add('--quick', action='store_true', help='small: does it run?')
    add('--batch-size', type=int, metavar='B', help='of the training step')
    add('--epochs', type=int, default=10, help='of the training (gpu)')
    add('--clips', type=int, default=2000, help='of its set (gpu)')
    add('--work-dir', type=Path, help='keep that set and training here')
    add('--out', type=Path, help='JSON; default: work_dirs/benchmark.json')
    add('--markdown', action='store_true', help='tables as Markdown')
    add('--from', dest='read', type=Path, help='measure nothing, take this')
    add('--compare', type=Path, metavar='JSON', help='an earlier run')
    add('--tolerance', type=float, default=regressions.TOLERANCE)
    add(
        '--other-machine',
        action='store_true',
        help='compare although the machines are of different kinds',
    )
    add('--docs', type=Path, metavar='JSON', help='fill docs/speed.md')
    add('--page', type=Path, default=PAGE, help='instead of docs/speed.md')
    arguments = parser.parse_args(argv)
    for name in ('batch_size', 'epochs', 'clips'):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be 1 or more')
    if arguments.where == 'gpu' and not torch.cuda.is_available():
        parser.error(
            'there is no GPU here; --parts gpu runs the same code on the CPU'
        )
    return arguments


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, printing and keeping each part as soon as it is there."""
    limit_threads()
    on_gpu = arguments.where == 'gpu'
    options = Options(
        quick=arguments.quick,
        device='cuda' if on_gpu else 'cpu',
        batch_size=arguments.batch_size,
        work_dir=arguments.work_dir,
        epochs=arguments.epochs,
        clips=arguments.clips,
    )
    report = describe(options)
    print(headline(report), flush=True)
    out = arguments.out or Path('work_dirs/benchmark.json')
    for name in arguments.parts or (ON_GPU if on_gpu else ON_CPU):
        report['parts'][name] = measure_part(name, options)
        part = report['parts'][name]
        print(f'\n{part["title"]}, {part["seconds"]} s\n')
        print(table_text(report, name), flush=True)
        write_report(report, out)
    print(f'\nwritten to {out}')
    return report


def compare(
    before: dict[str, Any],
    report: dict[str, Any],
    arguments: argparse.Namespace,
) -> int:
    """Print what got worse: 0, 1 if something did, 2 for other machines."""
    others = regressions.machine_differences(before, report)
    if others:
        print(f'\nanother kind of machine: {"; ".join(others)}')
        if not arguments.other_machine:
            print('not compared; --other-machine does it all the same')
            return 2
    if before['quick'] != report['quick']:
        print('\none of the two runs is --quick: only sizes of both compare')
    found = regressions.changes(before, report)
    worse = regressions.regressions(found, arguments.tolerance)
    print(
        f'\n{len(found)} ratios compared, {len(worse)} worse by more than '
        f'{arguments.tolerance:.0%}'
    )
    worse = [*map(str, worse)]
    if before['quick'] == report['quick']:
        worse += regressions.lost(before, report)
    print(*worse, sep='\n', end='\n' if worse else '')
    return int(bool(worse))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure, compare or fill the page.

    Returns:
        int: 0; 1 for a figure that got worse; 2 for wrong input.
    """
    arguments = parse_arguments(argv)
    try:
        if arguments.docs:
            report = read_report(arguments.docs)
            changed = docs.fill_file(arguments.page, report)
            print(f'{"filled" if changed else "up to date:"} {arguments.page}')
            return 0
        before = arguments.compare and read_report(arguments.compare)
        if arguments.read:
            report = read_report(arguments.read)
            print(all_tables(report, arguments.markdown))
        else:
            report = measure(arguments)
            if arguments.markdown:
                print(all_tables(report, markdown=True))
        return compare(before, report, arguments) if before else 0
    except (OSError, ValueError, ImportError) as error:
        print(f'benchmark: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
