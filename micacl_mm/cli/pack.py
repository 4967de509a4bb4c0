"""Pack the frames of a set into one file for fast reading.

Every folder with images below FOLDER is a clip. The folders remain
authoritative: a data set refuses a pack that does not match them. See
docs/packs.md.

  micacl pack data/DFEW/Clip/clip_224x224 dfew.pack
  micacl train micacl_dfew --data-root data/DFEW --pack dfew.pack
"""

import argparse
import sys

from micacl_mm.datasets.pack import pack_frames


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='micacl pack',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', help='folder of the folders of frames')
    parser.add_argument('out', help='the pack, a file')
    parser.add_argument(
        '--workers', type=int, default=8, help='threads that read; default 8'
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Pack, and report what was done.

    Returns:
        int: Exit code, 2 for an error of the disk.
    """
    args = parse_args(argv)
    try:
        clips = pack_frames(args.folder, args.out, args.workers, progress=True)
    except OSError as error:
        print(f'micacl pack: {error}', file=sys.stderr)
        return 2
    print(f'{args.out}: {clips} clips')
    return 0
