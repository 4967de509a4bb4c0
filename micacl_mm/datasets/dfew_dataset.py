"""DFEW."""

import csv
from collections.abc import Iterable
from typing import Union

from micacl_mm.registry import DATASETS

from .base_dfer_dataset import BaseDFERDataset
from .layouts import FoundClip, find_numbered_clips
from .splits import SplitRow, check_unique, read_lines

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
    every nesting known of the release: face frames in full (preferred), in
    folders under another name, or 16 to a clip, and the original videos.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        fold (int): The fold, 1..5, whose split files are read. Defaults to 1.
        **kwargs: Arguments of :class:`BaseDFERDataset`.

    Raises:
        ValueError: For a wrong argument or a wrong row of a split file.
        FileNotFoundError: For a missing root, split file or clip.

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
    VARIANT = 'fold'
    SPLIT_FOLDER = 'EmoLabel_DataSplit'
    CLIP_FOLDERS = {
        'frames': (
            ('all face frames', r'clip_224x224(?!.*16f)'),
            ('face frames in a renamed folder', r'^(?!.*16f)'),
            ('16 face frames a clip', ''),
        ),
        'videos': (('original videos', 'original'), ('videos', '')),
    }
    EXPECTED_TREE = """\
<data_root>/
  EmoLabel_DataSplit/
    train(single-labeled)/set_1.csv .. set_5.csv
    test(single-labeled)/set_1.csv .. set_5.csv
  Clip/
    clip_224x224/00001/*.jpg      (source='frames')
    original/1.mp4                (source='videos')"""

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        fold: Union[int, str] = 1,
        **kwargs,
    ) -> None:
        # An environment variable in a config arrives as text.
        self._check_choice('fold', str(fold), ('1', '2', '3', '4', '5'))
        self.fold = int(fold)
        super().__init__(data_root, pipeline, **kwargs)

    def read_split(self, split: str) -> list[SplitRow]:
        """Read ``set_<fold>.csv``; its first row is a header."""
        path = self.find_split_file(
            f'{split}(single-labeled)/set_{self.fold}.csv'
        )
        lines = read_lines(path)
        # The header is told by its content, for a copy without one would
        # lose its first clip otherwise.
        if lines and not any(char.isdigit() for char in lines[0][1]):
            lines = lines[1:]
        rows = [self._parse(path, *line) for line in lines]
        return check_unique(rows, path)

    def find_clips(self, root: str) -> Iterable[FoundClip]:
        """List the clips on disk, keyed by five digits."""
        return find_numbered_clips(root, self.source)

    def _parse(self, path: str, number: int, line: str) -> SplitRow:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        name = cells[0].removesuffix('.mp4')
        if len(cells) < 2 or not name.isdecimal():
            raise ValueError(
                f'DFEWDataset: {path}, line {number}: a row must be '
                f"'<clip number>,<label 1..7>', got {line!r}; do restore the "
                'split file of the release.'
            )
        if cells[1] not in ('1', '2', '3', '4', '5', '6', '7'):
            raise ValueError(
                f'DFEWDataset: {path}, line {number}: label must be 1..7 '
                f'({", ".join(self.CLASSES)}), got {cells[1]!r}; do restore '
                'the split file of the release, which leaves out clips '
                'without a single label.'
            )
        return SplitRow(f'{int(name):05d}', int(cells[1]) - 1)
