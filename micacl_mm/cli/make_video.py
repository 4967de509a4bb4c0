"""Draw a video of a face with several expressions, to try micacl infer on.

micacl make-video story.mp4
micacl make-video story.mp4 --emotions Happy Fear --seed 3
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2

from micacl_mm.synthetic import EMOTIONS
from micacl_mm.synthetic.story import STORY, render_story
from micacl_mm.utils.video import write_video


def main(argv: Sequence[str]) -> int:
    """Draw and write the video."""
    parser = argparse.ArgumentParser(
        prog='micacl make-video',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', type=Path, metavar='FILE.mp4')
    parser.add_argument(
        '--emotions', nargs='+', default=STORY, choices=EMOTIONS
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=480, help='pixels')
    parser.add_argument('--fps', type=float, default=25.0)
    arguments = parser.parse_args(argv)
    if arguments.out.suffix.lower() != '.mp4':
        parser.error(f'the video must be a .mp4 file, got {arguments.out}')
    frames = render_story(arguments.emotions, arguments.seed, arguments.size)
    images = (cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames)
    print(write_video(images, arguments.out, arguments.fps))
    return 0
