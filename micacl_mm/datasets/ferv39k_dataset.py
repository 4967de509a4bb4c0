"""FERV39k."""

import re
from collections.abc import Iterable

from micacl_mm.errors import DataError, check_choice
from micacl_mm.registry import DATASETS

from .base import BaseDFERDataset
from .layouts import FoundClip, find_emotion_clips, pad_number
from .splits import RESTORE, SplitRow, without_suffix

SCENARIOS = {
    'Daily Life': 'Argue Conflict DailyLife Medicine School Social',
    'Weak-Interactive Shows': (
        'Action ElegantArt Liveshow ScholarReport Speech Talkshow'
    ),
    'Strong-Interactive Activities': (
        'Business Contest Crime Experiment Interview OfficialEvent'
    ),
    'Anomaly Issues': 'Crisis History Terror War',
}
SCENARIOS = {name: tuple(text.split()) for name, text in SCENARIOS.items()}
SCENES = tuple(scene for group in SCENARIOS.values() for scene in group)
_SPELLING = {scene.lower(): scene for scene in SCENES}


@DATASETS.register_module()
class FERV39kDataset(BaseDFERDataset):
    """`FERV39k <https://wangyanckxx.github.io/Proj_CVPR2022_FERV39k.html>`_.

    38,935 clips of 22 scenes in one official split. Labels follow the order
    of :class:`DFEWDataset`.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        subset (str): ``'all'``, one of the 22 scenes such as ``'Action'``, or
            one of the four scenarios ``'Daily Life'``,
            ``'Weak-Interactive Shows'``, ``'Strong-Interactive Activities'``
            and ``'Anomaly Issues'``. Defaults to ``'all'``.
        **kwargs: Arguments of :class:`BaseDFERDataset`.
    """

    METAINFO = {'dataset_name': 'FERV39k', 'classes': BaseDFERDataset.CLASSES}
    OFFICIAL_COUNTS = {
        'all': {
            'train': [5854, 5523, 7790, 5906, 2502, 1833, 1680],
            'test': [1473, 1393, 1958, 1487, 638, 467, 431],
        }
    }
    VARIANT = 'subset'
    ROW = '{path} {emotion}'
    SPLIT_FOLDER = '4_setups'
    CLIP_FOLDERS = {
        'frames': (
            ('face crops', '(^|/)2_Clips?forFaceCrop$'),
            ('face crops in a renamed folder', 'face|crop'),
            ('frames in a folder of another name', ''),
        ),
        'videos': (('labelled clips', 'LabelClips'), ('videos', '')),
    }
    EXPECTED_TREE = """\
<data_root>/
  4_setups/
    All_scenes/train_All.csv, test_All.csv
    22_scenes/train_Action.csv, test_Action.csv ..       (may be absent)
  2_ClipsforFaceCrop/Action/Sad/0010/*.jpg      (source='frames')
  0_7_LabelClips/Action/Sad/0010.mp4            (source='videos')"""

    def __init__(
        self, data_root: str, pipeline: list, subset: str = 'all', **kwargs
    ) -> None:
        known = ('all', *SCENARIOS, *SCENES)
        check_choice('FERV39kDataset', known, subset=subset)
        self.subset = subset
        super().__init__(data_root, pipeline, **kwargs)

    def read_split(self, split: str) -> list[SplitRow]:
        """Read the subset's rows."""
        # Only scenes have a file of their own, and copies often lack these
        # or hold empty ones.
        whole = f'All_scenes/{split}_All.csv'
        own = f'22_scenes/{split}_{self.subset}.csv'
        path = self.find_split_file(own, whole)
        if not path.lower().endswith('_all.csv') and not self.read_lines(path):
            path = self.find_split_file(whole)
        rows = self.read_rows(path)
        if self.subset == 'all' or not path.lower().endswith('_all.csv'):
            return rows
        scenes = SCENARIOS.get(self.subset, [self.subset])
        rows = [r for r in rows if r.video_id.split('/')[0] in scenes]
        if not rows:
            self._fail(
                DataError,
                f'{path} has no clip of subset {self.subset!r}',
                f"{RESTORE}, or use subset='all' (--subset all)",
            )
        return rows

    def find_clips(self, root: str, source: str = '') -> Iterable[FoundClip]:
        """List the clips on disk, keyed by scene, emotion and name."""
        return find_emotion_clips(root, source or self.source, self.CLASSES)

    def parse_row(self, line: str) -> SplitRow:
        """Read ``<Scene>/<Emotion>/<clip> <Emotion>``."""
        cells = re.split(r'[\s,]+', line.replace('"', ''))
        path = cells[0].replace('\\', '/').removeprefix('./')
        parts = path.split('/')
        if len(cells) != 2 or len(parts) != 3 or not all(parts):
            raise ValueError(
                f"a row must be '<Scene>/<Emotion>/<clip> <Emotion>', got "
                f'{line!r}'
            )
        if '.' in parts or '..' in parts:
            raise ValueError(
                f'the clip must lie below data_root, got {cells[0]!r}'
            )
        labels = {name.lower(): i for i, name in enumerate(self.CLASSES)}
        label = labels.get(cells[1].lower())
        if label is None:
            raise ValueError(
                f'label must be one of {", ".join(self.CLASSES)}, got '
                f'{cells[1]!r}'
            )
        if parts[1].lower() != cells[1].lower():
            raise ValueError(
                "label must be the emotion of the clip's path, got "
                f'{cells[1]!r} for {cells[0]!r}'
            )
        name = without_suffix(parts[2])
        # As the release spells them: the validation slice depends on names.
        scene = _SPELLING.get(parts[0].lower(), parts[0])
        name = f'{scene}/{self.CLASSES[label]}/{pad_number(name)}'
        return SplitRow(name, label)
