"""Frames out of one file, against the folders they come from."""

import os
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from micacl_mm.cli.pack import main
from micacl_mm.datasets import DFEWDataset
from micacl_mm.datasets.pack import FramePack, pack_frames
from tests.sets import (
    touch,
    write_clip,
    write_dfew_split,
)

ROOT = Path(__file__).parents[2]
ROWS = [(1, 1), (12, 7), (1601, 3)]
CLIPS = 'Clip/clip_224x224'
STOCK = {
    'ClipColorJitter': 'ColorJitter',
    'FaceFrameDecode': 'RawFrameDecode',
    'FastVideoInit': 'DecordInit',
}
SAMPLE = [
    dict(type='SampleInstances', num_frames=4, instance_len=2, test_mode=True),
    dict(type='FaceFrameDecode'),
]


@pytest.fixture
def dfew(tmp_path):
    """A set, one clip of which is of bitmaps, and its pack."""
    root = tmp_path / 'DFEW'
    for (number, _), form in zip(ROWS, ('jpeg', 'bmp', 'jpeg'), strict=True):
        suffix = form.replace('jpeg', 'jpg')
        folder = root / CLIPS / f'{number:05d}'
        write_clip(folder, 3 + number % 5, suffix, form=form)
    write_dfew_split(root, 'train', ROWS)
    pack_frames(str(root / CLIPS), str(root / 'faces.pack'))
    return root


def build(root, pipeline=(), pack='faces.pack', **kwargs):
    pack = pack and str(root / pack)
    return DFEWDataset(str(root), list(pipeline), pack=pack, **kwargs)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_the_recipe_gives_what_the_stock_transforms_give(tmp_path, split):
    """In a test to the bit, in training but for the jitter's rounding."""
    for number, count in ((1, 5), (2, 21)):
        write_clip(tmp_path / CLIPS / f'{number:05d}', count)
    write_dfew_split(tmp_path, 'train', [(1, 1), (2, 2)])
    out = str(tmp_path / 'faces.pack')
    pack_frames(str(tmp_path / CLIPS), out)
    config = Config.fromfile(ROOT / 'configs/_base_/datasets/dfew.py')
    fast = config[f'{split}_pipeline']
    plain = [
        {**step, 'type': STOCK.get(step.type, step.type)} for step in fast
    ]
    assert len({step['type'] for step in [*plain, *fast]}) > len(plain)
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
    assert split == 'train' or not difference.any()
    assert difference.mean() < 0.25 and (difference <= 1).mean() > 0.98


def test_every_byte_is_that_of_the_folder_and_comes_from_the_pack(dfew):
    pack = FramePack(str(dfew / 'faces.pack'))
    assert sorted(pack.clips()) == ['00001', '00012', '01601']
    dataset = build(dfew, SAMPLE)
    files = {path: path.read_bytes() for path in dfew.rglob('*.*g')}
    files |= {path: path.read_bytes() for path in dfew.rglob('*.bmp')}
    assert len(files) == 13
    before = [dataset[i]['imgs'] for i in range(3)]
    for path, data in files.items():
        path.unlink()
        assert pack.read(path.parent.name, path.name) == data
    after = [dataset[i]['imgs'] for i in range(3)]
    assert np.array_equal(before[0], after[0])
    with pytest.raises(ValueError, match='no frame 9.jpg of clip 00001'):
        pack.read('00001', '9.jpg')


def test_workers(dfew):
    """Also where this process has read from the pack before."""
    pack_inputs = [dict(type='FormatShape', input_format='NCTHW')]
    dataset = build(dfew, [*SAMPLE, *pack_inputs])
    expected = [dataset[i]['imgs'] for i in range(3)]
    loader = DataLoader(
        dataset,
        num_workers=2,
        multiprocessing_context='fork',
        collate_fn=pseudo_collate,
    )
    found = [batch['imgs'][0] for batch in loader]
    assert all(map(np.array_equal, found, expected))


def test_any_folder_above_the_clips_may_be_packed(dfew, tmp_path):
    out = str(tmp_path / 'other.pack')
    for folder in ('.', 'Clip'):
        pack_frames(str(dfew / folder), out)
        again = pickle.loads(pickle.dumps(build(dfew, SAMPLE, pack=out)))
        assert again[0]['imgs']


def add_frame(clip):
    (clip / '0001.jpg').write_bytes((clip / '001.jpg').read_bytes())


def grow_frame(name):
    def change(clip):
        with open(clip / name, 'ab') as file:
            file.write(b'0')

    return change


STALE = {
    'a frame more': (add_frame, '0001.jpg is only in'),
    'a frame less': (
        lambda c: (c / '002.jpg').unlink(),
        '002.jpg is only in pack',
    ),
    'the middle is larger': (grow_frame('002.jpg'), '002.jpg in .* has'),
    'the last is larger': (grow_frame('003.jpg'), '003.jpg in .* has'),
    'renamed': (
        lambda c: (c / '000.jpg').rename(c / '9.jpg'),
        '000.jpg is only in pack',
    ),
}


@pytest.mark.parametrize(('change', 'words'), STALE.values(), ids=STALE)
def test_a_stale_pack_is_refused_until_it_is_made_again(dfew, change, words):
    build(dfew)
    change(dfew / CLIPS / '00001')
    later = 2**33
    for path in (dfew / CLIPS).rglob('*.*'):
        os.utime(path, (later, later))
    with pytest.raises(ValueError, match=words) as error:
        build(dfew)
    assert 'Fix: run micacl pack again' in str(error.value)
    pack_frames(str(dfew / CLIPS), str(dfew / 'faces.pack'))
    build(dfew)


def test_packs_that_lack_clips(dfew):
    write_clip(dfew / CLIPS / '00077')
    write_dfew_split(dfew, 'train', [*ROWS, (77, 2)])
    with pytest.raises(ValueError, match='lacks 1 of 4 clips, 00077 first'):
        build(dfew)


def cut_in_half(path):
    with open(path, 'r+b') as file:
        file.truncate(path.stat().st_size // 2)


NO_PACKS = {
    'absent': (lambda p: p.unlink(), 'does not exist'),
    'a folder': (lambda p: (p.unlink(), p.mkdir()), 'is no file'),
    'empty': (lambda p: p.write_bytes(b''), 'is no pack'),
    'text': (lambda p: p.write_bytes(b'text' * 999), 'damaged or no pack'),
    'cut off': (cut_in_half, 'damaged'),
}


@pytest.mark.parametrize(('spoil', 'words'), NO_PACKS.values(), ids=NO_PACKS)
def test_files_that_are_no_packs(dfew, spoil, words):
    path = dfew / 'faces.pack'
    spoil(path)
    with pytest.raises((ValueError, OSError), match=words) as error:
        dataset = build(dfew, SAMPLE)
        assert [dataset[i] for i in range(3)]
    assert 'Fix: ' in str(error.value)


@pytest.mark.parametrize('size', [1, 4096])
def test_damage_ends_in_a_sentence_or_right_pixels(dfew, size):
    """Never in other pixels, and never in a dead process."""
    expected = build(dfew, SAMPLE, pack=None)
    expected = [expected[i]['imgs'] for i in range(3)]
    path, rng = dfew / 'faces.pack', np.random.default_rng(size)
    whole, refused = path.read_bytes(), 0
    for at in rng.integers(100, len(whole) - size, 8).tolist():
        damage = bytes(255 - b for b in whole[at : at + size])
        path.write_bytes(whole[:at] + damage + whole[at + size :])
        try:
            dataset = build(dfew, SAMPLE)
            found = [dataset[i]['imgs'] for i in range(3)]
        except (ValueError, OSError) as error:
            assert 'pack' in str(error) and 'Fix: ' in str(error)
            refused += 1
        else:
            assert all(map(np.array_equal, found, expected))
    assert refused or size == 1


def test_a_pack_that_was_replaced_under_a_reader(dfew):
    dataset = build(dfew, SAMPLE)
    write_clip(dfew / CLIPS / '00002')
    pack_frames(str(dfew / CLIPS), str(dfew / 'faces.pack'))
    # A worker that starts now would read what was compared with nothing.
    with (
        ProcessPoolExecutor(1, get_context('fork')) as pool,
        pytest.raises(ValueError, match='was replaced .* start again'),
    ):
        pool.submit(dataset.__getitem__, 0).result()


def test_wrong_use(dfew):
    stock = [SAMPLE[0], dict(type='RawFrameDecode')]
    with pytest.raises(ValueError, match='decode by FaceFrameDecode'):
        build(dfew, stock)
    with pytest.raises(ValueError, match="needs source='frames'"):
        build(dfew, source='videos')


def test_the_command(dfew, tmp_path, capsys):
    faces, out = dfew / CLIPS, dfew / 'faces.pack'
    (faces / 'empty').mkdir()
    touch(faces / 'notes.txt')
    write_clip(faces / 'deeper' / 'new')
    assert main([str(faces), str(out), '--workers', '1']) == 0
    assert '4 clips' in capsys.readouterr().out
    assert 'deeper/new' in FramePack(str(out)).clips()
    assert not list(dfew.glob('*part*'))
    with pytest.raises(ValueError, match='no folder with images in'):
        main([str(faces / 'empty'), str(out)])
    touch(dfew / 'thesis', b'thesis')
    with pytest.raises(ValueError, match='is no pack|damaged'):
        main([str(faces), str(dfew / 'thesis')])
    assert (dfew / 'thesis').read_text() == 'thesis'


def test_a_command_that_is_stopped_leaves_the_old_pack(dfew, monkeypatch):
    def stop(clip, folder):
        raise KeyboardInterrupt

    whole = (dfew / 'faces.pack').read_bytes()
    monkeypatch.setattr('micacl_mm.datasets.pack._read_clip', stop)
    with pytest.raises(KeyboardInterrupt):
        pack_frames(str(dfew / CLIPS), str(dfew / 'faces.pack'))
    assert (dfew / 'faces.pack').read_bytes() == whole
    assert not list(dfew.glob('*part*'))
