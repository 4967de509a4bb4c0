"""A healthy set, config and machine, in which faults are planted."""

import contextlib
import gc
import io
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from micacl_mm.cli.doctor import main
from micacl_mm.datasets import DFEWDataset
from micacl_mm.doctor import clips, install, machine
from tests.sets import write_dfew_split

from ..records.tiny import TINY

#: A DFEW of 35 clips. Clip k is of class k % 7, and tested in fold k % 5 + 1.
FRAMES, SIDE, GROUPS = 3, 40, 5
CLIPS = 'Clip/clip_224x224'
CONFIG = (
    TINY
    + """
train_dataloader = dict(
    batch_size=16, num_workers=2, prefetch_factor=2)
val_dataloader = dict(
    batch_size=32, num_workers=2, prefetch_factor=2)
"""
)
GIB = 2**30
VERSIONS = {
    'torch': '2.13.0',
    'numpy': '1.26.4',
    'opencv-python': '4.11.0.86',
    'opencv-contrib-python': '4.11.0.86',
}


def rows_of(fold, split):
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


def write_frame(path, seed=0, size=(SIDE, SIDE), mode='RGB', **options):
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path, **options)


def write_tree(root, clips=7 * GROUPS):
    for clip in range(clips):
        clip_dir(root, clip).mkdir(parents=True)
        for frame in range(FRAMES):
            path = frame_path(root, clip, frame)
            write_frame(path, FRAMES * clip + frame)
    for fold in range(1, GROUPS + 1):
        for split in ('train', 'test'):
            write_dfew_split(root, split, rows_of(fold, split), fold)


class Usage(NamedTuple):
    """Bytes of a disk."""

    total: int
    used: int
    free: int


def in_this_process(items, work, *_):
    yield from map(work, items)


def diagnose(folder, config, *options) -> list[dict]:
    """All findings about a config, written to ``folder``."""
    path, out = folder / 'own.py', folder / 'doctor.json'
    path.write_text(config)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([str(path), '--json', str(out), *map(str, options)])
    whole = json.loads(out.read_text())
    assert whole['exit_code'] == code
    for finding in whole['findings']:
        line = f'{finding["status"]} {finding["name"]}: '
        assert line in text.getvalue()
    return whole['findings']


class Bench:
    """A folder in which one healthy set is spoilt again and again.

    Args:
        folder (Path): Empty.

    Attributes:
        config (str): To be added to by a fault.
        options (dict): Of the command line, likewise.
        root (Path): Of the set.
        shm, disk (tuple[int, int]): All and free bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.whole = folder, folder / 'whole'
        write_tree(self.whole)
        # MMEngine collects garbage whenever it packs a dataset.
        gc.collect()
        gc.freeze()
        self.healthy = self.examine(lambda bench: None)

    def examine(self, plant) -> list[dict]:
        """Plant a fault and return all findings."""
        self.config, self.options, self.root = CONFIG, {}, self.whole
        self.shm, self.disk = (16 * GIB, 15 * GIB), (GIB, 100 * GIB)
        with pytest.MonkeyPatch.context() as self.patch:
            self.patch.setattr(os, 'environ', dict(os.environ))
            self.patch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
            self.patch.setattr(machine, 'driver_gpus', list)
            self.patch.setattr(shutil, 'disk_usage', self._usage)
            self.versions()
            counts = {'train': [GROUPS - 1] * 7, 'test': [1] * 7}
            official = dict.fromkeys(range(1, GROUPS + 1), counts)
            self.patch.setattr(DFEWDataset, 'OFFICIAL_COUNTS', official)
            self.patch.setattr(torch.cuda, 'is_available', lambda: False)
            self.patch.setattr(torch.version, 'cuda', None)
            self.patch.setattr(clips, 'run_all', in_this_process)
            plant(self)
            return self._run()

    def _usage(self, folder: Path) -> Usage:
        is_shm = folder == Path('/dev/shm')
        total, free = self.shm if is_shm else self.disk
        return Usage(total, total - free, free)

    def versions(self, **others) -> None:
        """Pretend other versions of packages."""
        others = {k.replace('_', '-'): v for k, v in others.items()}
        known = {**VERSIONS, **others}
        self.patch.setattr(install, 'version_of', known.get)

    def spoil(self) -> Path:
        """The root of a copy of the set, to be spoilt."""
        if self.root == self.whole:
            self.root = self.folder / 'spoilt'
            shutil.rmtree(self.root, ignore_errors=True)
            shutil.copytree(self.whole, self.root)
        return self.root

    def _run(self) -> list[dict]:
        options = {
            '--data-root': self.root,
            '--work-dir': self.folder / 'work',
            **self.options,
        }
        words = [word for pair in options.items() for word in pair if word]
        return diagnose(self.folder, self.config, *words)
