"""DFEW."""

import csv
import re

from micacl_mm.registry import DATASETS

from .base import BaseDFERDataset
from .splits import SplitRow

ALL_COUNTS = (2445, 1894, 2669, 2173, 1469, 145, 902)
TEST_COUNTS = {
    1: (489, 379, 534, 435, 294, 29, 181),
    2: (489, 379, 534, 435, 294, 29, 181),
    3: (489, 379, 534, 435, 294, 29, 180),
    4: (489, 379, 534, 434, 294, 29, 180),
    5: (489, 378, 533, 434, 293, 29, 180),
}


@DATASETS.register_module()
class DFEWDataset(BaseDFERDataset):
    """`DFEW <https://dfew-dataset.github.io/>`_, 11,697 clips in five folds.

    Labels are the set's codes 1..7 less one. The clips are looked for in
    every nesting known of the release: face frames in full (preferred), 16
    to a clip or in a renamed folder, and the original videos. Whole scenes,
    optical flow, landmarks and the like are never taken for faces. Arguments
    and errors are those of :class:`BaseDFERDataset`.

    Example:
        >>> from micacl_mm.datasets import DFEWDataset
        >>> train = DFEWDataset('data/DFEW', pipeline=[], fold=3,
        ...                     val_ratio=0.1)
        >>> train[0]['label'], train.class_counts
    """

    METAINFO = {'dataset_name': 'DFEW', 'classes': BaseDFERDataset.CLASSES}
    OFFICIAL_COUNTS = {
        fold: {
            'train': [a - t for a, t in zip(ALL_COUNTS, test, strict=False)],
            'test': list(test),
        }
        for fold, test in TEST_COUNTS.items()
    }
    VARIANT, FOLDS = 'fold', range(1, 6)
    SPLIT_FOLDER = 'EmoLabel_DataSplit'
    CLIP_FOLDERS = {
        'frames': (
            ('all face frames', '(^|/)clip_224x224$'),
            ('16 face frames a clip', r'16f\b'),
            ('face frames in a renamed folder', 'jpg|256|face|crop|224'),
            ('frames in a folder of another name', ''),
        ),
        'videos': (('original videos', 'original'), ('videos', '')),
    }
    ROW = '{name},{code}'
    NUMBERED_FRAMES = True
    EXPECTED_TREE = """\
<data_root>/
  EmoLabel_DataSplit/
    train(single-labeled)/set_1.csv .. set_5.csv
    test(single-labeled)/set_1.csv .. set_5.csv
  Clip/
    clip_224x224/00001/*.jpg      (source='frames')
    original/1.mp4                (source='videos')"""

    def read_split(self, split: str) -> list[SplitRow]:
        """Read ``set_<fold>.csv``; its first row is a header."""
        # Also of train, train(single_labeled), emolabel_datasplit/train, ..
        words = rf'{split}|single|label(l?ed)?|emolabel|datasplit|[\W\d_]'
        path = self.find_split_file(
            f'{split}(single-labeled)/set_{self.fold}.csv',
            pattern=rf'(?=.*{split})({words})*/set_{self.fold}\.csv',
        )
        return self.read_rows(path)

    def parse_row(self, line: str) -> SplitRow:
        """Read ``<clip number>,<label>``."""
        row = next(csv.reader([line], skipinitialspace=True))
        cells = [cell.strip() for cell in row]
        name = re.sub(r'^\./|\.(mp4|avi)$', '', cells[0], flags=re.IGNORECASE)
        if len(cells) < 2 or not name.isdecimal():
            raise ValueError(
                f"a row must be '<clip number>,<label 1..7>', got {line!r}"
            )
        if cells[1] not in ('1', '2', '3', '4', '5', '6', '7'):
            # The release leaves out clips without a single label.
            raise ValueError(
                f'label must be 1..7 ({", ".join(self.CLASSES)}), got '
                f'{cells[1]!r}'
            )
        return SplitRow(f'{int(name):05d}', int(cells[1]) - 1)
