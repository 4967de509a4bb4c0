"""Draw a synthetic set of facial expressions in DFEW's or FERV39k's tree."""

import argparse
import sys

from micacl_mm.errors import MICACLError
from micacl_mm.synthetic import LEVELS, make_synthetic


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='micacl make-data', description=__doc__
    )
    parser.add_argument('out', help='folder of the set: new or to be resumed')
    parser.add_argument(
        '--layout', choices=['dfew', 'ferv39k'], default='dfew'
    )
    parser.add_argument(
        '--clips', type=int, required=True, help='clips with a label'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=64, help='frame, pixels')
    parser.add_argument(
        '--folds',
        type=int,
        nargs='+',
        default=[1, 2, 3, 4, 5],
        help='folds of DFEW that get split files',
    )
    parser.add_argument(
        '--test-per-class',
        type=int,
        default=0,
        metavar='K',
        help='top test splits up to K clips of each class; no training '
        'split holds the added clips',
    )
    parser.add_argument('--videos', action='store_true', help='mp4 as well')
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument('--difficulty', choices=list(LEVELS), default='medium')
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Draw the set and say what was written."""
    args = parse_args(argv)
    try:
        summary = make_synthetic(
            args.out,
            layout=args.layout,
            num_clips=args.clips,
            seed=args.seed,
            size=args.size,
            folds=tuple(args.folds),
            test_per_class=args.test_per_class,
            videos=args.videos,
            workers=args.workers,
            difficulty=args.difficulty,
            progress=True,
        )
    except (MICACLError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('\nstopped; the same command continues', file=sys.stderr)
        return 130
    for split, counts in summary['splits'].items():
        listed = '  '.join(f'{name} {n}' for name, n in counts.items())
        print(f'{split:<7} {sum(counts.values()):>6}   {listed}')
    print(
        f'{summary["root"]}: {summary["clips"]} clips in layout '
        f'{summary["layout"]}, {summary["drawn"]} drawn now, '
        f'{summary["seconds"]:.0f} s'
    )
    print(summary['notice'])
    return 0
