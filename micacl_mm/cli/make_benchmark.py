"""Draw the open benchmark "synthetic v1", or check one that is there.

Exit code: 0 if all levels equal the reference to the byte, 1 if something
differs, 2 if it could not be drawn or checked.
"""

import argparse
import sys
import warnings

from micacl_mm.errors import MICACLError
from micacl_mm.synthetic import (
    BENCHMARK_LEVELS,
    DEVELOPMENT,
    make_benchmark,
    verify_benchmark,
)


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='micacl make-benchmark',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Draw or check level by level and say what is there."""
    differing = []
    for level in dict.fromkeys(args.levels):
        if args.verify:
            report = verify_benchmark(args.out, [level])[level]
        else:
            print(f'{level}:', file=sys.stderr)
            report = make_benchmark(
                args.out, [level], workers=args.workers, progress=True
            )[level]
            tell_drawn(report)
        tell_record(report)
        differing += [level] if report['differs'] else []
    if differing:
        print(f'not the reference: {", ".join(differing)}')
    return 1 if differing else 0


def tell_drawn(report: dict) -> None:
    """Print counts, imbalance and time."""
    for split, counts in report['splits'].items():
        listed = '  '.join(f'{name} {n}' for name, n in counts.items())
        ratio = max(counts.values()) / min(counts.values())
        total = sum(counts.values())
        print(f'{split:<7} {total:>6}   {listed}   {ratio:.1f} : 1')
    print(
        f'{report["root"]}: {report["clips"]} clips, {report["drawn"]} drawn '
        f'now, {report["seconds"]:.0f} s'
    )


def tell_record(report: dict) -> None:
    """Print the checksums and what they say."""
    record = report['record']
    title = f'{record["name"]}-v{record["version"]}-{record["level"]}'
    print(f'{title}: labels {record["labels"]}')
    print(f'{title}: frames {record["frames"]}')
    for sentence in report['differs']:
        print(f'{title}: DIFFERS. {sentence}')
    if record['reference']:
        print(f'{title}: equals the reference')


def main(argv: list[str]) -> int:
    """Run the tool and turn what went wrong into an exit code."""
    args = parse_args(argv)
    # What differs is printed here.
    warnings.filterwarnings('ignore', message='make_benchmark: ')
    try:
        return run(args)
    except (MICACLError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('\nstopped; the same command continues', file=sys.stderr)
        return 130
