"""RAVDESS."""

from itertools import product

from micacl_mm.registry import DATASETS

from .actor_dataset import BaseActorDataset


@DATASETS.register_module()
class RAVDESSDataset(BaseActorDataset):
    """`RAVDESS <https://zenodo.org/records/1188976>`_, speech without sound.

    1,440 clips of 24 actors in six folds of four consecutive actors. Labels
    are the set's codes 01..08 less one.

    Args:
        data_root (str): The folder of the set.
        pipeline (list): Transforms.
        fold (int): The fold, 1..6; fold k tests actors 4k - 3 to 4k. Defaults
            to 1.
        **kwargs: Arguments of :class:`BaseDFERDataset`.

    Raises:
        ConfigError: For a wrong argument.
        MissingFileError: For a missing root or clip.

    Example:
        >>> from micacl_mm.datasets import RAVDESSDataset
        >>> test = RAVDESSDataset('data/RAVDESS', pipeline=[], fold=6,
        ...                       split='test', test_mode=True)
        >>> test[0]['video_id']
    """

    CLASSES = (
        *('Neutral', 'Calm', 'Happy', 'Sad'),
        *('Angry', 'Fear', 'Disgust', 'Surprise'),
    )
    METAINFO = {'dataset_name': 'RAVDESS', 'classes': CLASSES}
    CLIP_NAME = r'02-01-0[1-8]-0[12]-0[12]-0[12]-([01]\d|2[0-4])'
    SEPARATOR = '-'
    ACTOR_FIELD = -1
    CODES = tuple(f'{code:02d}' for code in range(1, 9))
    ACTORS = {k: range(4 * k - 3, 4 * k + 1) for k in range(1, 7)}
    PART = r'(?i)(Video_Speech_)?Actor_\d+'
    CLIP_FOLDERS = {
        'frames': (
            ('face crops', 'face|crop'),
            ('frames in a folder of another name', ''),
        ),
        'videos': (('videos', ''),),
    }
    EXPECTED_TREE = """\
<data_root>/
  Actor_01/02-01-01-01-01-01-01.mp4 .. Actor_24/     (source='videos')
  faces/Actor_01/02-01-01-01-01-01-01/*.jpg          (source='frames')
Download Video_Speech_Actor_01.zip to 24 at zenodo.org/records/1188976"""

    @classmethod
    def release(cls) -> list[str]:
        """Names of the 1,440 clips; Neutral has no strong intensity."""
        parts = product(range(1, 25), cls.CODES, (1, 2), (1, 2), (1, 2))
        return [
            f'02-01-{code}-{level:02d}-{text:02d}-{take:02d}-{actor:02d}'
            for actor, code, level, text, take in parts
            if (code, level) != ('01', 2)
        ]


RAVDESSDataset.OFFICIAL_COUNTS = RAVDESSDataset.official_counts()
