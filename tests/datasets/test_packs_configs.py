"""The fast data path in the shipped configs, against the stock one."""

import random
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from micacl_mm.datasets import DFEWDataset
from micacl_mm.datasets.packs import pack_frames
from micacl_mm.records.config_hash import config_hash

from .transforms.images import write_clip
from .tree import write_dfew_split

ROOT = Path(__file__).parents[2]
STOCK = {
    'ClipColorJitter': 'ColorJitter',
    'FaceFrameDecode': 'RawFrameDecode',
    'FastVideoInit': 'DecordInit',
}
NAMES = ('dfew', 'ferv39k', 'class_folder')


def load(path, monkeypatch, **options):
    for name, value in options.items():
        monkeypatch.setenv(f'MICACL_{name}', value)
    return Config.fromfile(ROOT / path)


def kinds(pipeline):
    return [getattr(s.type, '__name__', s.type) for s in pipeline]


@pytest.mark.parametrize('split', ['train', 'test'])
def test_the_recipe_gives_what_the_stock_transforms_give(
    tmp_path, monkeypatch, split
):
    """In a test to the bit, in training within a level of the jitter."""
    clips = 'Clip/clip_224x224'
    for number in (1, 2):
        folder = tmp_path / clips / f'{number:05d}'
        write_clip(folder, 5 if number == 1 else 21)
    write_dfew_split(tmp_path, 'train', [(1, 1), (2, 2)])
    out = str(tmp_path / 'faces.lmdb')
    pack_frames(str(tmp_path / clips), out)
    config = load('configs/_base_/datasets/dfew.py', monkeypatch)
    fast = config[f'{split}_pipeline']
    plain = [{**s, 'type': STOCK.get(s.type, s.type)} for s in fast]
    assert kinds(fast) != [step['type'] for step in plain]
    found = []
    for steps, pack in ((plain, None), (fast, None), (fast, out)):
        np.random.seed(0)
        random.seed(0)
        dataset = DFEWDataset(str(tmp_path), steps, pack=pack)
        found.append([dataset[i % 2]['inputs'].numpy() for i in range(8)])
    stock, ours, packed = np.array(found).astype(int)
    assert stock.shape == (8, 4, 3, 4, 112, 112)
    assert np.array_equal(ours, packed)
    difference = np.abs(ours - stock)
    if split == 'test':
        assert difference.max() == 0
    else:
        assert difference.max() == 1 and difference.mean() < 0.25


@pytest.mark.parametrize('name', NAMES)
def test_the_option_reaches_every_split(monkeypatch, name):
    path = f'configs/_base_/datasets/{name}.py'
    bare = load(path, monkeypatch, SOURCE='frames')
    config = load(path, monkeypatch, PACK='/faces.lmdb')
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        assert 'pack' not in bare[loader].dataset
        assert config[loader].dataset.pack == '/faces.lmdb'
        assert 'FaceFrameDecode' in kinds(config[loader].dataset.pipeline)
    config = load(path, monkeypatch, PACK='none', SOURCE='videos')
    assert 'pack' not in config.train_dataloader.dataset
    steps = kinds(config.train_pipeline)
    assert steps[:3] == ['FastVideoInit', 'SampleInstances', 'DecordDecode']


@pytest.mark.parametrize(
    'source, decode',
    [
        ('frames', [dict(type='RawFrameDecode')]),
        ('videos', [dict(type='DecordInit'), dict(type='DecordDecode')]),
    ],
)
def test_the_benchmark_keeps_what_its_rows_were_trained_with(
    monkeypatch, source, decode
):
    path = 'configs/leaderboard/geiim_wian_mccl.py'
    config = load(path, monkeypatch, SOURCE=source)
    packed = load(path, monkeypatch, PACK='/faces.lmdb')
    assert config_hash(packed.to_dict()) == config_hash(config.to_dict())
    for split in ('train', 'val', 'test'):
        assert packed[f'{split}_dataloader'].dataset.pack is None
    resize = dict(type='Resize', scale=(48, 48), keep_ratio=False)
    format_shape = dict(type='FormatShape', input_format='NCTHW')
    packing = dict(type='PackActionInputs')
    sample = dict(type='SampleInstances', num_frames=16, instance_len=4)
    crop = dict(
        type='RandomResizedCrop',
        area_range=(0.85, 1.0),
        aspect_ratio_range=(0.9, 1.1),
    )
    head = decode[:-1]
    train = [*head, sample, decode[-1], crop, resize]
    train += [dict(type='Flip', flip_ratio=0.5), format_shape, packing]
    test = [*head, dict(sample, test_mode=True), decode[-1], resize]
    test += [format_shape, packing]
    for split, expected in (('train', train), ('test', test)):
        found = config[f'{split}_dataloader'].dataset.pipeline
        assert list(map(dict, found)) == expected
