r"""Pack the face frames of a set into one file, for training and testing.

Every folder with images below FOLDER is a clip; OUT holds the very bytes of
its files, under the clip's path below FOLDER and the file's name. The folders
stay the truth: a data set compares, and refuses a pack that does not fit.

  micacl pack data/DFEW/Clip/clip_224x224 dfew.lmdb
  micacl train micacl_dfew --pack dfew.lmdb

Run again, the same command does what is missing or has changed; OUT stays as
it was until OUT.part is whole and takes its place. --verify compares every
byte of OUT with FOLDER and writes nothing. Files that cannot
be decoded stand in OUT.failures.csv with the reason. Exit code: 0 if all is
well, 1 if files are broken or differ, 2 for a wrong argument or a full disk,
130 after Ctrl-C. See docs/packs.md.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

from micacl_mm.datasets.packs import pack_frames, verify_pack
from micacl_mm.records.machine import count_cores
from micacl_mm.utils.files import write_text


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='micacl pack',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', help='folder of the folders of frames')
    parser.add_argument('out', help='the pack, a file: new or begun')
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        '--verify',
        action='store_true',
        help='compare every byte of OUT with FOLDER, write nothing',
    )
    mode.add_argument(
        '--again',
        action='store_true',
        help='read all clips, not only those that look new or changed',
    )
    parser.add_argument(
        '--prune',
        action='store_true',
        help='let clips leave OUT even if they are more than half of it; '
        '--verify ignores it',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=2 * count_cores(),
        help='threads that read; default: two a core, more for a slow disk',
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Pack or verify, and say what was found."""
    args = parse_args(argv)
    try:
        return _verify(args) if args.verify else _pack(args)
    except (ImportError, ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes = 'reads all again' if args.again else 'goes on from here'
        print(f'\nstopped; the same command {goes}', file=sys.stderr)
        return 130


def _pack(args: argparse.Namespace) -> int:
    done = pack_frames(
        args.folder,
        args.out,
        workers=args.workers,
        again=args.again,
        prune=args.prune,
        progress=True,
    )
    print(
        f'{done["clips"]} clips, {done["frames"]} frames, '
        f'{done["bytes"] / 1e6:.1f} MB: {done["done"]} clips packed now, '
        f'{done["skipped"]} before, {done["removed"]} removed, '
        f'{done["seconds"]:.0f} s'
    )
    listed = Path(f'{args.out}.failures.csv')
    if done['failures']:
        text = io.StringIO(newline='')
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(['path', 'reason'])
        writer.writerows(done['failures'])
        write_text(listed, text.getvalue())
        print(
            f'{len(done["failures"])} broken files: {listed}', file=sys.stderr
        )
        return 1
    listed.unlink(missing_ok=True)
    return 0


def _verify(args: argparse.Namespace) -> int:
    wrong = verify_pack(
        args.out, args.folder, workers=args.workers, progress=True
    )
    for name, problem in wrong:
        print(f'{name}: {problem}', file=sys.stderr)
    if wrong:
        print(
            f'{len(wrong)} differences; --again in the place of --verify '
            'packs what the folder holds',
            file=sys.stderr,
        )
        return 1
    print('the pack holds what the folder holds, byte for byte')
    return 0
