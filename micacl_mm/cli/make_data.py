"""Draw a synthetic set of facial expressions in DFEW's or FERV39k's tree.

After Ctrl-C the same command continues.
"""

from collections.abc import Sequence

from micacl_mm.synthetic import LEVELS, make_synthetic

from . import make_parser


def main(argv: Sequence[str]) -> int:
    """Draw the set and say what was written."""
    parser = make_parser('make-data', __doc__)
    add = parser.add_argument
    add('out', help='folder of the set: new or to be resumed')
    add('--layout', choices=['dfew', 'ferv39k'], default='dfew')
    add('--clips', type=int, required=True, help='clips with a label')
    add('--seed', type=int, default=0)
    add('--size', type=int, default=64, help='frame, pixels')
    add(
        '--folds',
        type=int,
        nargs='+',
        default=[1, 2, 3, 4, 5],
        help='folds of DFEW that get split files',
    )
    add(
        '--test-per-class',
        type=int,
        default=0,
        metavar='K',
        help='top test splits up to K clips of each class; no training '
        'split holds the added clips',
    )
    add('--videos', action='store_true', help='mp4 as well')
    add('--workers', type=int, default=1, help='processes')
    add('--difficulty', choices=list(LEVELS), default='medium')
    options = vars(parser.parse_args(argv))
    options['num_clips'] = options.pop('clips')
    summary = make_synthetic(**options, progress=True)
    report(summary)
    print(summary['notice'])
    return 0


def report(summary: dict) -> None:
    """Print what was drawn."""
    for split, counts in summary['splits'].items():
        listed = '  '.join(f'{name} {n}' for name, n in counts.items())
        print(f'{split:<7} {sum(counts.values()):>6}   {listed}')
    print(
        f'{summary["root"]}: {summary["clips"]} clips in layout '
        f'{summary["layout"]}, {summary["drawn"]} drawn now, '
        f'{summary["seconds"]:.0f} s'
    )
