"""One fault at a time in a healthy set, config or machine."""

import contextlib
import gc
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from micacl_mm.datasets import DFEWDataset
from micacl_mm.doctor import clips, facts
from micacl_mm.doctor.command import load, main
from tests.sets import write_dfew_split

from ..records.tiny import ROOT

#: A DFEW of 35 clips. Clip k is of class k % 7, and tested in fold k % 5 + 1.
FRAMES, SIDE, GROUPS = 3, 40, 5
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
GIB = 2**30
VERSIONS = {
    'torch': '2.13.0',
    'numpy': '1.26.4',
    'opencv-python': '4.11.0.86',
    'opencv-contrib-python': '4.11.0.86',
}
#: A machine on which nothing is wrong.
MACHINE = {
    'shared_memory': (16 * GIB, 15 * GIB),
    'cores': 8,
    'omp_threads': '4',
    'free_disk': 100 * GIB,
    'gpus': [],
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


def in_this_process(items, work, workers, died=None):
    yield from map(work, items)


class Bench:
    """A folder in which one healthy set is spoilt again and again.

    Args:
        folder (Path): Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.whole = folder, folder / 'whole'
        write_tree(self.whole)
        load(whole=True)
        # MMEngine collects garbage whenever it packs a dataset.
        gc.collect()
        gc.freeze()
        self.healthy, self.said = self.examine(lambda spoilt: None)

    def examine(self, plant) -> tuple[dict, list[dict]]:
        """Plant a fault and return statuses by check, and all findings."""
        self.patch = pytest.MonkeyPatch()
        self.config, self.options = CONFIG, {}
        self.root = self.whole
        self.json = self.folder / 'doctor.json'
        self.json.unlink(missing_ok=True)
        saved = dict(os.environ)
        try:
            for name, value in MACHINE.items():
                self.machine(name, value)
            self.versions()
            counts = {'train': [GROUPS - 1] * 7, 'test': [1] * 7}
            official = dict.fromkeys(range(1, GROUPS + 1), counts)
            self.patch.setattr(DFEWDataset, 'OFFICIAL_COUNTS', official)
            self.patch.setattr(torch.cuda, 'is_available', lambda: False)
            self.patch.setattr(torch.version, 'cuda', None)
            self.patch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
            self.patch.setattr(clips, 'run_all', in_this_process)
            plant(self)
            return self._run()
        finally:
            self.patch.undo()
            os.environ.clear()
            os.environ.update(saved)

    def machine(self, name, value) -> None:
        """Make the machine say something else of itself."""
        self.patch.setattr(facts, name, lambda *_: value)

    def versions(self, **others) -> None:
        """Pretend other versions of packages."""
        others = {k.replace('_', '-'): v for k, v in others.items()}
        self.patch.setattr(facts, 'version', {**VERSIONS, **others}.get)

    def spoil(self) -> Path:
        """The root of a copy of the set, to be spoilt."""
        self.root = self.folder / 'spoilt'
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.whole, self.root)
        return self.root

    def _run(self) -> tuple[dict, list[dict]]:
        path = self.folder / 'tiny.py'
        path.write_text(self.config)
        options = {
            '--data-root': self.root,
            '--work-dir': self.folder / 'work',
            '--json': self.json,
            **self.options,
        }
        words = [
            str(word) for pair in options.items() for word in pair if word
        ]
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            code = main([str(path), *words])
        found = json.loads(self.json.read_text())
        assert found['exit_code'] == code
        statuses: dict[str, list[str]] = {}
        for finding in found['findings']:
            line = f'{finding["status"]} {finding["name"]}: '
            assert line in text.getvalue()
            statuses.setdefault(finding['name'], []).append(finding['status'])
        return statuses, found['findings']

    def problem(self, fault) -> str:
        """What is wrong with what the doctor says of a fault."""
        statuses, findings = self.examine(fault.plant)
        left_out = {
            finding['name']
            for finding in findings
            if finding['found'].startswith('needs ')
        }
        changed = {
            name
            for name in {**self.healthy, **statuses}
            if statuses.get(name) != self.healthy.get(name)
            and name not in left_out
        }
        if changed != {fault.check, *fault.also}:
            said = [(f['name'], f['found']) for f in findings]
            return str([words for words in said if words[0] in changed])
        told = [
            finding['found'] + finding['cure']
            for finding in findings
            if (finding['name'], finding['status'])
            == (fault.check, fault.status)
        ]
        if not any(fault.cure in text for text in told):
            return f'no {fault.status} with that cure, but {told}'
        return ''
