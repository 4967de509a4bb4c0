"""Writes a synthetic set to disk, on one or several processes."""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from micacl_mm.errors import ConfigError, check_choice, check_count
from micacl_mm.utils.files import (
    DRAWN_MARKER,
    check_folder,
    publish,
    scratch_folder,
    write_text,
)
from micacl_mm.utils.video import write_video
from micacl_mm.utils.workers import run_all

from .clip import EMOTIONS, LEVELS, ClipSpec, clip_layout, render_clip
from .layouts import (
    LAYOUTS,
    NUM_GROUPS,
    Plan,
    frame_dir,
    frame_name,
    plan_dfew,
    plan_ferv39k,
    video_path,
    write_annotation,
)
from .scene import Difficulty

NOTICE = (
    'Drawn faces, made by micacl make-data. No clip of a real '
    'set is in here, and no figure measured on it is a result on real data.'
)
_FPS = 25
_VERSION = 2  # raised when equal settings no longer give equal bytes
# A run makes something in its scratch folder every few seconds.
_DEAD_AFTER = 600.0


@dataclass
class SyntheticSettings:
    """Everything that decides what a set holds."""

    layout: str = 'dfew'  # or 'ferv39k'
    num_clips: int = 1000  # with a label, in the real set's proportions
    seed: int = 0
    size: int = 64  # width and height of a frame
    folds: tuple[int, ...] = (1, 2, 3, 4, 5)  # of DFEW that get split files
    #: Top each test split up to so many clips of each class, by clips that no
    #: training split holds.
    test_per_class: int = 0
    videos: bool = False  # mp4 clips beside the frames
    difficulty: str | Difficulty = 'medium'  # of LEVELS, or one's own

    def __post_init__(self) -> None:
        self.folds = tuple(sorted(set(self.folds)))
        name = 'make_synthetic'
        check_choice(name, LAYOUTS, layout=self.layout)
        # For each class to be in train and test of each group of persons.
        groups = NUM_GROUPS if self.layout == 'dfew' else 2
        least = len(EMOTIONS) * groups
        check_count(name, least, num_clips=self.num_clips)
        check_count(name, 32, size=self.size)
        check_count(name, 0, test_per_class=self.test_per_class)
        if self.seed < 0:
            raise ConfigError(f'{name}: seed must be 0 or more')
        if self.size > 512 or self.size % 2:  # for the video encoder
            raise ConfigError(
                f'{name}: size must be even, 32 to 512, got {self.size}'
            )
        if not self.folds or not {*self.folds} <= {*range(1, NUM_GROUPS + 1)}:
            raise ConfigError(
                f'{name}: folds must be some of 1 to {NUM_GROUPS}, got '
                f'{self.folds}'
            )
        if isinstance(self.difficulty, str):
            check_choice(name, [*LEVELS], difficulty=self.difficulty)
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


def make_synthetic(
    out: str | Path,
    *,
    workers: int = 1,
    progress: bool = False,
    **settings: object,
) -> dict:
    """Write a drawn set as a licensee of DFEW or FERV39k finds the real one.

    A second call with the same arguments draws only what is missing. Equal
    settings give equal bytes on one machine with one set of versions.

    Args:
        out (str | Path): Root of the set; new, empty, or to be resumed.
        workers (int): Processes. Defaults to 1.
        progress (bool): Show progress on stderr. Defaults to False.
        **settings: Fields of :class:`SyntheticSettings`.

    Returns:
        dict: ``root``, ``layout``, ``clips``, ``drawn``, ``seconds``,
        ``notice``, and ``splits``: class counts by split.
    """
    asked = SyntheticSettings(**settings)
    check_count('make_synthetic', workers=workers)
    root, plan = Path(out).expanduser(), asked.plan()
    start = time.monotonic()
    versions = {'numpy': np.__version__, 'cv2': cv2.__version__}
    marker = dict(notice=NOTICE, settings=asked.record(), versions=versions)
    found = check_folder(
        'make_synthetic', root, DRAWN_MARKER, marker['settings']
    )
    if found and found.get('versions') != versions:
        warnings.warn(
            f'make_synthetic: {root} was begun under {found.get("versions")}, '
            f'here are {versions}; clips drawn now may differ by a few grey '
            'levels from what the first run would have drawn',
            stacklevel=2,
        )
    with scratch_folder(root, _DEAD_AFTER) as scratch:
        if found is None:
            text = json.dumps(marker, indent=2) + '\n'
            write_text(root / DRAWN_MARKER, text)
        write = partial(write_clip, root=root, scratch=scratch, settings=asked)
        drawn = sum(run_all(plan.clips, write, workers, progress=progress))
        write_annotation(root, asked.layout, plan, asked.seed)
    splits = {}
    for name, clips in plan.splits.items():
        counts = Counter(clip.emotions[0] for clip in clips)
        splits[name] = {emotion: counts[emotion] for emotion in EMOTIONS}
    return {
        'root': str(root),
        'layout': asked.layout,
        'clips': len(plan.clips),
        'drawn': drawn,
        'seconds': time.monotonic() - start,
        'notice': NOTICE,
        'splits': splits,
    }


def write_clip(
    clip: ClipSpec, root: Path, scratch: Path, settings: SyntheticSettings
) -> bool:
    """Draw a clip unless it is there; it appears whole or not at all."""
    layout, seed = settings.layout, settings.seed
    folder = root / frame_dir(layout, clip)
    video = root / video_path(layout, clip)
    if folder.exists() and (not settings.videos or video.exists()):
        return False
    frames = render_clip(
        clip, seed, layout, settings.size, settings.difficulty
    )
    if not folder.exists():
        part = scratch / f'clip_{clip.clip_id}'
        part.mkdir()
        for number in clip_layout(clip, seed, layout)[1]:
            path = str(part / frame_name(layout, clip, number))
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
            if not cv2.imwrite(path, frames[number - 1], quality):
                raise OSError(f'make_synthetic: cannot write {path}')
        publish(part, folder)
    if settings.videos and not video.exists():
        write_video((frame[..., ::-1] for frame in frames), video, _FPS)
    return True
