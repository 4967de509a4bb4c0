"""MAFW, the set of single expressions."""

from micacl_mm.registry import DATASETS

from .base import BaseDFERDataset
from .splits import SplitRow, without_suffix

#: Names in the split files, whose order differs between copies.
_NAMES = (
    *('anger', 'disgust', 'fear', 'happiness', 'neutral', 'sadness'),
    *('surprise', 'contempt', 'anxiety', 'helplessness', 'disappointment'),
)


@DATASETS.register_module()
class MAFWDataset(BaseDFERDataset):
    """`MAFW <https://mafw-database.github.io/MAFW/>`_, single expressions.

    9,172 clips of 11 classes in five official folds. Labels follow the order
    of the paper; rows are read by the name of the class. Arguments and errors
    are those of :class:`BaseDFERDataset`.
    """

    CLASSES = (
        *('Angry', 'Disgust', 'Fear', 'Happy', 'Neutral', 'Sad'),
        *('Surprise', 'Contempt', 'Anxiety', 'Helplessness'),
        'Disappointment',
    )
    METAINFO = {'dataset_name': 'MAFW', 'classes': CLASSES}
    # The counts of each class are not published by fold.
    OFFICIAL_COUNTS = {fold: {} for fold in range(1, 6)}
    OFFICIAL_TOTAL = 9172
    VARIANT, FOLDS = 'fold', range(1, 6)
    SPLIT_FOLDER = 'Train & Test Set'
    CLIP_FOLDERS = {
        'frames': (
            ('face crops', 'face|crop'),
            ('frames of the release', '(^|/)frames$'),
            ('frames in a folder of another name', ''),
        ),
        'videos': (('clips', '(^|/)clips$'), ('videos', '')),
    }
    ROW = '{name} {emotion}'
    EXPECTED_TREE = """\
<data_root>/
  Train & Test Set/single/no_caption/set_1/train.txt, test.txt .. set_5/
  clips/00001.mp4 ..                       (source='videos')
  faces/00001/*.jpg ..                     (source='frames')
Apply for the set at mafw-database.github.io/MAFW"""

    def read_split(self, split: str) -> list[SplitRow]:
        """Read ``set_<fold>/<split>.txt``."""
        file = f'set_{self.fold}/{split}.txt'
        path = self.find_split_file(
            f'single/no_caption/{file}', pattern=rf'(no_caption/)?{file}'
        )
        return self.read_rows(path)

    def parse_row(self, line: str) -> SplitRow:
        """Read ``<clip>.mp4 <emotion>``."""
        cells = line.split()
        name = without_suffix(cells[0])
        if len(cells) != 2 or not name.isdecimal():
            raise ValueError(
                f"a row must be '<number>.mp4 <emotion>', got {line!r}"
            )
        labels = {
            emotion.lower(): label
            for names in (_NAMES, self.CLASSES)
            for label, emotion in enumerate(names)
        }
        if cells[1].lower() not in labels:
            raise ValueError(
                f'emotion must be one of {", ".join(_NAMES)}, got {cells[1]!r}'
            )
        return SplitRow(f'{int(name):05d}', labels[cells[1].lower()])
