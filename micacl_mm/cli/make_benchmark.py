"""Draw the open benchmark "synthetic v1", or check one that is there.

After Ctrl-C the same command continues. Exit code: 0 if all levels equal the
reference to the byte, 1 if something differs, 2 if it could not be drawn or
checked.
"""

from collections.abc import Sequence

from micacl_mm.synthetic import BENCHMARK_LEVELS, DEVELOPMENT, make_benchmark

from . import make_parser
from .make_data import report as report_drawn


def main(argv: Sequence[str]) -> int:
    """Draw or check level by level and say what is there."""
    parser = make_parser('make-benchmark', __doc__)
    parser.add_argument('out', help='folder that holds a folder a level')
    parser.add_argument(
        '--levels',
        nargs='+',
        choices=[*BENCHMARK_LEVELS, DEVELOPMENT],
        default=BENCHMARK_LEVELS,
        help='default: all but the development set',
    )
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument(
        '--verify', action='store_true', help='draw and write nothing'
    )
    args, differing = vars(parser.parse_args(argv)), []
    for level in dict.fromkeys(args.pop('levels')):
        report = make_benchmark(level=level, progress=True, **args)
        if not args['verify']:
            report_drawn(report)
        record = report['record']
        title = f'{record["name"]}-v{record["version"]}-{level}'
        print(f'{title}: labels {record["labels"]}')
        print(f'{title}: frames {record["frames"]}')
        for sentence in report['differs']:
            print(f'{title}: DIFFERS. {sentence}')
        if report['differs']:
            differing.append(level)
        else:
            print(f'{title}: equals the reference')
    if differing:
        print(f'not the reference: {", ".join(differing)}')
    return 1 if differing else 0
