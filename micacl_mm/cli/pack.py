"""Pack the frames of a set into one file for fast reading.

Every folder with images below FOLDER is a clip. The folders remain
authoritative: a data set refuses a pack that does not match them. See
docs/data.md.

  micacl pack data/DFEW/Clip/clip_224x224 dfew.pack
  micacl train micacl_dfew --data-root data/DFEW --pack dfew.pack
"""

from collections.abc import Sequence

from . import make_parser


def main(argv: Sequence[str]) -> int:
    """Pack, and report what was done."""
    parser = make_parser('pack', __doc__)
    parser.add_argument('folder', help='folder of the folders of frames')
    parser.add_argument('out', help='the pack, a file')
    parser.add_argument(
        '--workers', type=int, default=8, help='threads that read; default 8'
    )
    args = parser.parse_args(argv)
    from micacl_mm.datasets.pack import pack_frames

    clips = pack_frames(args.folder, args.out, args.workers, progress=True)
    print(f'{args.out}: {clips} clips')
    return 0
