"""DFEW."""

import csv
from collections.abc import Iterable
from typing import Union

from micacl_mm.registry import DATASETS

from .base_dfer_dataset import BaseDFERDataset
from .clip_finders import FoundClip, find_numbered_clips
from .splits import SplitRow

ALL_COUNTS = (2445, 1894, 2669, 2173, 1469, 145, 902)
TEST_COUNTS = {
    1: (489, 379, 534, 435, 294, 29, 181),
    2: (489, 379, 534, 435, 294, 29, 181),
    3: (489, 379, 534, 435, 294, 29, 180),
    4: (489, 379, 534, 434, 294, 29, 180),
    5: (489, 378, 533, 434, 293, 29, 180),
}
# `original` holds the whole scenes, in copies also as frames.
FACES = '^(?!(.*/)?original)'


@DATASETS.register_module()
class DFEWDataset(BaseDFERDataset):
    """`DFEW <https://dfew-dataset.github.io/>`_, 11,697 clips in five folds.

    Labels are the set's codes 1..7 less one. The clips are looked for in
    every nesting known of the release: face frames in full (preferred), in
    a renamed folder, or 16 to a clip, and the original videos. Frames of the
    whole scenes, below ``original``, are never taken for faces.

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
            ('all face frames', rf'{FACES}.*clip_224x224(?!.*16f)'),
            (
                'face frames in a renamed folder',
                rf'{FACES}(?!.*(16f|flow|heat|landmark|mask))'
                r'.*(jpg|256|face|crop)',
            ),
            ('16 face frames a clip', rf'{FACES}.*16f'),
            # The least likely to be faces: optical flow, heat maps, ..
            ('frames in a folder of another name', FACES),
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
        self.data_root = data_root  # for the message
        # An environment variable in a config arrives as text.
        self._check_choice('fold', str(fold), ('1', '2', '3', '4', '5'))
        self.fold = int(fold)
        super().__init__(data_root, pipeline, **kwargs)

    def read_split(self, split: str) -> list[SplitRow]:
        """Read ``set_<fold>.csv``; its first row is a header."""
        path = self.find_split_file(
            f'{split}(single-labeled)/set_{self.fold}.csv'
        )
        lines = self.read_lines(path)
        # The header is told by its content, for a copy without one would
        # lose its first clip otherwise.
        if lines and not any(char.isdigit() for char in lines[0][1]):
            lines = lines[1:]
        return self.parse_rows(path, lines)

    def find_clips(self, root: str) -> Iterable[FoundClip]:
        """List the clips on disk, keyed by five digits."""
        return find_numbered_clips(root, self.source)

    def parse_row(self, line: str) -> SplitRow:
        """Read ``<clip number>,<label>``."""
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        name = cells[0].removesuffix('.mp4')
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
