"""What is asked of a synthetic set, and how hard it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from micacl_mm.errors import ConfigError

from .action_units import EMOTIONS, LEVELS, Difficulty
from .layouts import LAYOUTS
from .plan import NUM_GROUPS, Plan, plan_dfew, plan_ferv39k

_VERSION = 2  # raised when equal settings no longer give equal bytes


@dataclass
class SyntheticSettings:
    """Everything that decides what a set holds.

    Args:
        layout (str): ``'dfew'`` or ``'ferv39k'``. Defaults to ``'dfew'``.
        num_clips (int): Clips with a label, in the real set's proportions
            with at least one clip of each class in each group of persons.
            Defaults to 1000.
        seed (int): Seed of everything random. Defaults to 0.
        size (int): Width and height of a frame. Defaults to 64.
        folds (tuple[int, ...]): DFEW's folds that get split files.
            Defaults to all five.
        test_per_class (int): Top each test split up to so many clips of
            each class, by clips that no training split holds. Defaults to 0.
        videos (bool): Write mp4 clips beside the frames. Defaults to False.
        difficulty (str | Difficulty): One of ``LEVELS``, or knobs of one's
            own. Defaults to ``'medium'``.

    Raises:
        ConfigError: For a setting that cannot be met.
    """

    layout: str = 'dfew'
    num_clips: int = 1000
    seed: int = 0
    size: int = 64
    folds: tuple[int, ...] = (1, 2, 3, 4, 5)
    test_per_class: int = 0
    videos: bool = False
    difficulty: str | Difficulty = 'medium'

    def __post_init__(self) -> None:
        self.folds = tuple(sorted(set(self.folds)))
        self._check()
        if isinstance(self.difficulty, str):
            self.difficulty = LEVELS[self.difficulty]

    def plan(self) -> Plan:
        """Clips and splits of the set."""
        if self.layout == 'ferv39k':
            return plan_ferv39k(self.num_clips, self.seed, self.test_per_class)
        return plan_dfew(
            self.num_clips, self.seed, self.folds, self.test_per_class
        )

    def record(self) -> dict:
        """What a later run must share to go on, ready for JSON."""
        record = {'version': _VERSION, **asdict(self)}
        record['folds'] = list(self.folds) if self.layout == 'dfew' else None
        del record['videos']  # they can be added later
        return record

    def _check(self) -> None:
        def need(condition: bool, name: str, what: str) -> None:
            if not condition:
                got = getattr(self, name)
                raise ConfigError(
                    f'make_synthetic: {name} must be {what}, got {got!r}'
                )

        need(self.layout in LAYOUTS, 'layout', f'one of {LAYOUTS}')
        least = len(EMOTIONS) * (NUM_GROUPS if self.layout == 'dfew' else 2)
        need(
            self.num_clips >= least,
            'num_clips',
            f'at least {least}, for each class to be in train and test of '
            f'layout {self.layout}',
        )
        need(self.seed >= 0, 'seed', '0 or more')
        need(32 <= self.size <= 512, 'size', '32 to 512')
        need(self.size % 2 == 0, 'size', 'even, for the video encoder')
        known = self.folds and set(self.folds) <= set(range(1, NUM_GROUPS + 1))
        need(known, 'folds', f'some of 1 to {NUM_GROUPS}')
        need(self.test_per_class >= 0, 'test_per_class', '0 or more')
        level = self.difficulty
        known = isinstance(level, Difficulty) or level in LEVELS
        need(known, 'difficulty', f'one of {", ".join(LEVELS)}')
