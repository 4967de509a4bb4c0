r"""Crop the faces of all clips of a folder, for training and testing.

Every video below SOURCE, and every folder of frames, becomes a folder of face
crops below OUT, at the same place without the suffix, with the numbers of the
frames as names: 00001.jpg, 00002.jpg, .. Frames without a face are left out.

DFEW and FERV39k come with crops of their own. From the raw clips:

  micacl crop-faces data/DFEW/Clip/original \
      data/DFEW/Clip/clip_224x224 --layout dfew
  micacl crop-faces data/FERV39k/0_7_LabelClips \
      data/FERV39k/2_ClipsforFaceCrop --layout ferv39k

Your own set, a folder for each class:

  micacl crop-faces data/own data/own_faces

Run the same command again to do what is missing and to retry what failed.
OUT/failures.csv lists the clips that failed, with the reason. Exit code: 0 if
all is done, 1 if clips failed, 2 for a wrong argument or a full disk, 130
after Ctrl-C.
"""

import sys
from dataclasses import fields

from micacl_mm.faces.crop_set import CropSettings, crop_set
from micacl_mm.utils.workers import count_cores

from . import KeyValue, make_parser


def main(argv: list[str]) -> int:
    """Crop the clips and say what was done."""
    parser = make_parser('crop-faces', __doc__)
    parser.add_argument('source', help='folder of clips, or one clip')
    parser.add_argument('out', help='folder of the crops: new or begun')
    for setting in fields(CropSettings):
        how = dict(type=type(setting.default), default=setting.default)
        if setting.name == 'face_options':
            how = dict(nargs='+', action=KeyValue, default={})
            how['metavar'] = 'KEY=VALUE'
        elif setting.default is False:
            how = dict(action='store_true')
        parser.add_argument(
            f'--{setting.name.replace("_", "-")}',
            help=f'{setting.metadata["help"]} (default: %(default)s)',
            **how,
        )
    parser.add_argument(
        '--workers',
        type=int,
        default=count_cores(),
        help='processes; default: one per usable core',
    )
    args = vars(parser.parse_args(argv))
    done = crop_set(args.pop('source'), args.pop('out'), **args, progress=True)
    print(
        f'{done["clips"]} clips: {done["done"]} done now, {done["skipped"]} '
        f'before, {len(done["failures"])} failed; {done["faces"]} faces, '
        f'{done["crops"]} crops of {done["frames"]} frames, '
        f'{done["seconds"]:.0f} s'
    )
    if done['failures']:
        print(f'reasons: {done["list"]}', file=sys.stderr)
    return 1 if done['failures'] else 0
