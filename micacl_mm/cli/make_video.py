"""Draw a video of a face with several expressions, to try micacl infer on.

micacl make-video story.mp4
micacl make-video story.mp4 --emotions Happy Fear --seed 3
"""

from collections.abc import Sequence
from pathlib import Path

from . import make_parser


def main(argv: Sequence[str]) -> int:
    """Draw and write the video."""
    parser = make_parser('make-video', __doc__)
    parser.add_argument('out', type=Path, metavar='FILE.mp4')
    parser.add_argument('--emotions', nargs='+', metavar='NAME')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=480, help='pixels')
    parser.add_argument('--fps', type=float, default=25.0)
    args = parser.parse_args(argv)
    if args.out.suffix.lower() != '.mp4':
        parser.error(f'the video must be a .mp4 file, got {args.out}')
    from micacl_mm.synthetic.clip import STORY, render_story
    from micacl_mm.utils.video import write_video

    frames = render_story(args.emotions or STORY, args.seed, args.size)
    images = (frame[..., ::-1] for frame in frames)  # RGB
    print(write_video(images, args.out, args.fps))
    return 0
