"""A clip of each class of the benchmark, really drawn."""

import cv2
import numpy as np

from micacl_mm.synthetic import (
    BENCHMARK_LEVELS,
    EMOTIONS,
    benchmark_settings,
)
from micacl_mm.synthetic.digests import frame_digests
from micacl_mm.synthetic.layouts import frame_dir
from micacl_mm.synthetic.writer import ClipJob, write_clip


def sample(level):
    """Other persons on each level, to see more of what can be drawn."""
    clips = benchmark_settings(level).plan().clips
    which = BENCHMARK_LEVELS.index(level)
    return tuple(
        [clip for clip in clips if clip.emotions == (emotion,)][which]
        for emotion in EMOTIONS
    )


def draw_sample(root, level):
    scratch = root / 'scratch'
    scratch.mkdir(parents=True)
    job = ClipJob(root, scratch, benchmark_settings(level))
    for clip in sample(level):
        assert write_clip(clip, job)


def sample_digest(root, level):
    found = frame_digests(root, sample(level), benchmark_settings(level))
    assert not found.damaged
    return found.blocks[0]


def thumbnails(root, level):
    """The middle frame of each clip at half its size, in a row."""
    tiles = []
    for clip in sample(level):
        paths = sorted((root / frame_dir('dfew', clip)).iterdir())
        image = cv2.imread(str(paths[len(paths) // 2]))
        image = image.astype(np.float32)
        tiles.append(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
    return np.rint(np.hstack(tiles)).astype(np.uint8)
