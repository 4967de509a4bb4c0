"""Kill a training again and again, and see that nothing is lost.

A tiny training on drawn noise is killed (SIGKILL) at random moments, half of
the time while a checkpoint is being written, and the same command goes on
with --resume. Trainings that come to their end must have the weights, the
optimizer, the best checkpoint and the metrics of one that nobody disturbed,
to the bit. With them work what has a memory: EMA, dropout, random
augmentation in workers, class-balanced sampling, class counts, the warm-up
and the queue of MCCL, a schedule by iterations.
Every second training starts in a folder that holds a later checkpoint of
another one.

Usage: python -m tests.reliability.torture [--kills 20] [--seed 0]
           [--work-dir DIR] [--stock]

--stock takes MMEngine's hook for checkpoints and seeds no data, to see what
happens without ours. Needs a system with fork. docs/reliability.md has more.

Exit code: 0 nothing was lost; 1 something was.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from tests.reliability.torture import torture

BASE = Path(__file__).resolve().parents[3] / 'configs' / 'micacl_folder.py'


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', type=Path, help='default: a new one')
    parser.add_argument('--stock', action='store_true')
    arguments = parser.parse_args(argv)
    place = arguments.work_dir or Path(tempfile.mkdtemp(prefix='kills-'))
    if place.exists() and any(place.iterdir()):
        parser.error(f'--work-dir must be empty, got {place}')
    place.mkdir(parents=True, exist_ok=True)
    outcome = torture(
        arguments.kills, arguments.seed, place, BASE, arguments.stock
    )
    print(outcome)
    if arguments.work_dir is None:
        shutil.rmtree(place)
    return int(bool(outcome.differences))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
