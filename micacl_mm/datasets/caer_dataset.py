"""CAER."""

from collections.abc import Iterable

from micacl_mm.errors import MissingFileError
from micacl_mm.registry import DATASETS

from .base import BaseDFERDataset
from .layouts import FoundClip, find_emotion_clips
from .splits import SplitRow

_FOLDERS = {'train': 'train', 'val': 'validation', 'test': 'test'}
_EMOTIONS = (
    *('Anger', 'Disgust', 'Fear', 'Happy', 'Neutral', 'Sad', 'Surprise'),
)


@DATASETS.register_module()
class CAERDataset(BaseDFERDataset):
    """`CAER <https://caer-dataset.github.io>`_, scenes of 79 TV shows.

    13,201 clips of 7 classes in the official split, validation included:
    ``val_ratio`` is not used. The clips show whole scenes; crop the faces
    before training. Persons are not named, so they may be in several splits.
    Arguments and errors are those of :class:`BaseDFERDataset`.
    """

    CLASSES = ('Angry', *_EMOTIONS[1:])
    METAINFO = {'dataset_name': 'CAER', 'classes': CLASSES}
    # The counts of each class are not published.
    OFFICIAL_TOTAL = 13201
    SPLITS = ('train', 'val', 'test')
    EXPECTED_TREE = """\
<data_root>/
  CAER/train/Anger/0001.avi .. validation/ test/   (source='videos')
  faces/train/Anger/0001/*.jpg ..                  (source='frames')
Download CAER.zip at caer-dataset.github.io"""

    def read_split(self, split: str) -> list[SplitRow]:
        """List the clips of a split, be they videos or folders of frames."""
        folder, rows = _FOLDERS[split], {}
        labels = {name.lower(): i for i, name in enumerate(_EMOTIONS)}
        for source in self.CLIP_FOLDERS:
            for clip in self.find_clips(self.data_root, source):
                part, emotion, _ = clip.key.split('/')
                if part == folder:
                    rows[clip.key] = SplitRow(clip.key, labels[emotion])
        if not rows:
            self._fail(
                MissingFileError,
                f'no clip in a folder {folder}/<emotion> below '
                f'{self.data_root}',
                'unpack the set there, or set data_root (--data-root DIR)',
            )
        return [rows[key] for key in sorted(rows)]

    def _split_in_two(self) -> tuple[list[SplitRow], list[SplitRow]]:
        return self.relabel(self._read(self.split)), []

    def find_clips(self, root: str, source: str = '') -> Iterable[FoundClip]:
        """List the clips on disk, keyed by split, emotion and name."""
        return find_emotion_clips(root, source or self.source, _EMOTIONS)
