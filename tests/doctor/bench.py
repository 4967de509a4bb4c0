"""One fault at a time in a healthy set, config or machine."""

import contextlib
import gc
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from micacl_mm.datasets import DFEWDataset
from micacl_mm.doctor import facts
from micacl_mm.doctor.checks import load
from micacl_mm.doctor.command import main
from micacl_mm.utils import workers

from .tree import CONFIG, official, write_tree

PACKAGES = {
    'torch': facts.Package('2.13.0'),
    'numpy': facts.Package('1.26.4'),
    'setuptools': facts.Package('81.0.0'),
    'opencv-python': facts.Package('4.11.0.86'),
    'opencv-contrib-python': facts.Package('4.11.0.86'),
}
POOLS = (
    'micacl_mm.doctor.decoding.run_all',
    'micacl_mm.doctor.checks.decoding.run_all',
)
GIB = 2**30
#: A machine on which nothing is wrong.
MACHINE = {
    'packages': PACKAGES,
    'python_version': (3, 11),
    'shared_memory': (16 * GIB, 15 * GIB),
    'open_files': 65536,
    'cores': 8,
    'omp_threads': '4',
    'free_disk': 100 * GIB,
    'gpus': [],
}


def in_this_process(clips, work, workers, died):
    yield from map(work, clips)


class Bench:
    """A folder in which one healthy set is spoilt again and again.

    Args:
        folder (Path): Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.whole = folder, folder / 'whole'
        write_tree(self.whole)
        load(whole=True)
        # MMEngine collects garbage whenever it packs a data set.
        gc.collect()
        gc.freeze()
        self.healthy, findings = self.examine(lambda spoilt: None)
        self.names = [finding['name'] for finding in findings]

    def examine(self, plant) -> tuple[dict, list[dict]]:
        """Plant a fault and return statuses by check, and all findings."""
        self.patch = pytest.MonkeyPatch()
        self.config, self.options = CONFIG, {}
        self.root = self.whole
        self.json = self.folder / 'doctor.json'
        self.json.unlink(missing_ok=True)
        saved = dict(os.environ)
        try:
            self._prepare()
            plant(self)
            return self._run()
        finally:
            self.patch.undo()
            os.environ.clear()
            os.environ.update(saved)

    def _prepare(self) -> None:
        for name, value in MACHINE.items():
            self.machine(name, value)
        self.patch.setattr(DFEWDataset, 'OFFICIAL_COUNTS', official())
        self.patch.setattr(torch.cuda, 'is_available', lambda: False)
        self.patch.setattr(torch.version, 'cuda', None)
        self.patch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        for place in POOLS:
            self.patch.setattr(place, in_this_process)

    def machine(self, name, value) -> None:
        """Make the machine say something else of itself."""
        self.patch.setattr(facts, name, lambda *_: value)

    def processes(self) -> None:
        """Decode on processes after all, which take their time."""
        for place in POOLS:
            self.patch.setattr(place, workers.run_all)

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
            '--workers': 2,
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

    def changed(self, statuses, findings) -> dict[str, list[str]]:
        """Checks that are not as on the healthy set, by name.

        What builds on a failed check and is left out says nothing new.
        """
        left_out = {
            finding['name']
            for finding in findings
            if finding['found'].startswith('needs ')
        }
        return {
            name: statuses.get(name, [])
            for name in {**self.healthy, **statuses}
            if statuses.get(name) != self.healthy.get(name)
            and name not in left_out
        }
