"""The doctor finds what is wrong with CREMA-D, RAVDESS, MAFW and CAER."""

import os
import shutil

import pytest

from micacl_mm.options import find_config
from micacl_mm.records.rows import DATASETS
from tests.sets import compressed, noise, open_clips, touch, write_open_set

from .bench import diagnose

KINDS = ('cremad', 'ravdess', 'mafw', 'caer')


def frames(path, label):
    """Two frames that no other clip has."""
    seed = abs(hash(str(path))) % 2**31
    for number in (1, 2):
        data = compressed(noise(seed + number))
        touch(path / f'{number:05d}.jpg', data)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp('open')
    for kind in KINDS:
        write_open_set(root / kind, kind, frames)
    return root


@pytest.fixture
def examine(whole, tmp_path, monkeypatch, alone):
    """Spoil a copy of a set and ask the doctor."""

    def run(kind, spoil):
        names = [
            os.path.basename(clip)
            for pairs in open_clips(kind).values()
            for clip, _ in pairs
        ]
        if kind in ('cremad', 'ravdess'):
            monkeypatch.setattr(
                DATASETS[kind], 'release', staticmethod(lambda: names)
            )
        root = tmp_path / 'set'
        shutil.copytree(whole / kind, root)
        spoil(root)
        name = f'micacl_plus_{kind}'
        if kind == 'caer':
            name = 'leaderboard/micacl_plus'
        text = f'_base_ = [{find_config(name)!r}]\n'
        text += 'model = dict(type="NoSuchModel")\n'
        monkeypatch.setenv('MICACL_SET', kind)
        found = diagnose(
            *(tmp_path, text, '--data-root', root, '--val-ratio', '0.4'),
            *('--cfg-options', 'train_dataloader.batch_size=2'),
        )
        return {
            finding['name']: finding['found']
            for finding in found
            if finding['status'] == 'FAIL'
            and finding['name'] not in ('model', 'split files')
        }

    return run


def clip(root, kind, split='train', number=0):
    return root / 'faces' / open_clips(kind)[split][number][0]


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_is_wrong(kind, examine):
    assert examine(kind, lambda root: None) == {}


@pytest.mark.parametrize('kind', KINDS)
def test_a_clip_that_is_trained_on_and_tested_and_a_damaged_one(kind, examine):
    def spoil(root):
        target = clip(root, kind, 'test')
        shutil.rmtree(target)
        shutil.copytree(clip(root, kind), target)
        path = clip(root, kind, number=1) / '00002.jpg'
        path.write_bytes(path.read_bytes()[:300])

    found = examine(kind, spoil)
    assert 'duplicates' in found and '00002.jpg' in found['decode']


def test_split_files_of_mafw(examine):
    def spoil(root):
        (path,) = root.rglob('set_1/test.txt')
        path.write_bytes(path.read_bytes() + b'00001.mp4 anger\r\n')

    found = examine('mafw', spoil)
    assert found['folds'] == 'fold 1: 00001 are in train and in test'
    assert {'folds', 'overlap'} <= set(found)
