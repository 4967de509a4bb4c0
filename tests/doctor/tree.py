"""A healthy DFEW of 35 clips, and a config for it."""

import numpy as np
from PIL import Image

from tests.sets import write_dfew_split

from ..records.tiny import ROOT

FRAMES, SIDE, GROUPS = 3, 24, 5
CLIPS = 'Clip/clip_224x224'
CONFIG = f"""
_base_ = [{str(ROOT / 'configs/micacl_demo.py')!r}]
model = dict(
    backbone=dict(base_channels=2),
    neck=dict(
        _delete_=True,
        type='NeckChain',
        num_instances=4,
        necks=[dict(type='WIAN', in_channels=16, out_channels=16)],
        aux_loss=dict(type='MCCLLoss', num_classes=7, in_channels=16),
    ),
    cls_head=dict(in_channels=16),
)
train_dataloader = dict(batch_size=16, num_workers=2, prefetch_factor=2)
val_dataloader = dict(batch_size=32, num_workers=2, prefetch_factor=2)
"""


def rows_of(fold, split):
    """Clip k is of class k % 7, and tested in fold k % 5 + 1."""
    tested = split == 'test'
    return [
        (k, k % 7 + 1)
        for k in range(7 * GROUPS)
        if (k % GROUPS + 1 == fold) is tested
    ]


def clip_dir(root, clip):
    return root / CLIPS / f'{clip:05d}'


def frame_path(root, clip, frame=0):
    return clip_dir(root, clip) / f'{clip:05d}_{frame:05d}.jpg'


def write_frame(path, seed=0, size=(SIDE, SIDE), mode='RGB'):
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def write_frames_of(root, clip):
    clip_dir(root, clip).mkdir(parents=True)
    for frame in range(FRAMES):
        write_frame(frame_path(root, clip, frame), FRAMES * clip + frame)


def write_tree(root):
    for clip in range(7 * GROUPS):
        write_frames_of(root, clip)
    for fold in range(1, GROUPS + 1):
        for split in ('train', 'test'):
            rows = rows_of(fold, split)
            write_dfew_split(root, split, rows, fold)


def official():
    """The counts of the set, in the form of ``OFFICIAL_COUNTS``."""
    return {
        fold: {'train': [GROUPS - 1] * 7, 'test': [1] * 7}
        for fold in range(1, GROUPS + 1)
    }
