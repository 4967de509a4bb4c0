"""Frames out of one file, against the folders they come from."""

import json
import pickle
import random
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from micacl_mm.datasets import ClassFolderDataset, DFEWDataset
from micacl_mm.datasets.packs import FramePack, frame_pack, pack_frames
from micacl_mm.datasets.packs.frame_pack import close_reader
from micacl_mm.datasets.packs.layout import HEADER, lmdb

from .transforms.images import compressed, picture, write_clip
from .tree import logged, write_dfew_split, write_frames

pytest.importorskip('lmdb')

ROWS = [(1, 1), (12, 7), (1601, 3)]
CLIPS = 'Clip/clip_224x224'
PIPELINE = [
    dict(type='SampleInstances', num_frames=6, instance_len=3),
    dict(type='FaceFrameDecode'),
    dict(type='RandomResizedCrop', area_range=(0.3, 1.0)),
    dict(type='Resize', scale=(20, 20), keep_ratio=False),
    dict(type='Flip'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


def draw_set(root):
    """A set in DFEW's layout, one clip of which is of PNGs."""
    for (number, _), form in zip(ROWS, ('jpeg', 'png', 'jpeg'), strict=True):
        suffix = dict(jpeg='jpg').get(form, form)
        folder = root / CLIPS / f'{number:05d}'
        write_clip(folder, 3 + number % 5, suffix, form=form)
    write_dfew_split(root, 'train', ROWS)
    return root


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """The set and its pack, which no test may change."""
    root = draw_set(tmp_path_factory.mktemp('packed') / 'DFEW')
    pack_frames(str(root / CLIPS), str(root / 'faces.lmdb'))
    return root


@pytest.fixture
def copy(drawn, tmp_path):
    """The same, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / 'DFEW'))


def build(root, pack='faces.lmdb', pipeline=(), **kwargs):
    pack = pack and str(root / pack)
    return DFEWDataset(str(root), list(pipeline), pack=pack, **kwargs)


def refused(root, kind=ValueError, **kwargs):
    """The sentence with which a data set refuses the pack."""
    close_reader(str(root / 'faces.lmdb'))
    with pytest.raises(kind) as error:
        build(root, **kwargs)
    text = str(error.value)
    assert text.startswith('DFEWDataset: ') and ' do ' in text
    assert '\n' not in text
    return text


def edit(path, work):
    """Change a pack behind its back."""
    close_reader(str(path))
    environment = lmdb.open(str(path), subdir=False)
    with environment, environment.begin(write=True) as begun:
        work(begun)


def test_every_byte_is_that_of_the_folder(drawn):
    pack = FramePack(drawn / 'faces.lmdb')
    files = sorted((drawn / CLIPS).rglob('*.*'))
    for path in files:
        data = pack.read(path.parent.name, path.name)
        assert data == path.read_bytes()
        assert pack.is_sound(path.parent.name, path.name, data)
    assert pack.clips() == ['00001', '00012', '01601']
    listed = [f.name for clip in pack.clips() for f in pack.frames(clip)]
    assert listed == [path.name for path in files]
    sizes = sum(path.stat().st_size for path in files)
    assert pack.header == (True, 3, len(files), sizes)
    assert pack.frames('00002') is None
    with pytest.raises(KeyError, match='no frame 9.jpg of clip 00001'):
        pack.read('00001', '9.jpg')


def test_samples_are_those_of_the_folders(drawn):
    found = []
    for pack in (None, 'faces.lmdb'):
        dataset = build(drawn, pack, PIPELINE)
        random.seed(0)
        np.random.seed(0)
        found.append([dataset[i % 3] for i in range(9)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one['inputs'], other['inputs'])
        assert one['data_samples'].gt_label == other['data_samples'].gt_label


def test_frames_come_from_the_pack(copy):
    """Even those that are no longer in the folder by then."""
    dataset = build(copy, pipeline=PIPELINE)
    for path in (copy / CLIPS).rglob('*.*'):
        path.unlink()
    assert dataset[0]['inputs'].shape == (2, 3, 3, 20, 20)


@pytest.mark.parametrize(
    'method', ['fork', pytest.param('spawn', marks=pytest.mark.slow)]
)
def test_workers(drawn, method):
    """Also where this process has read from the pack before."""
    test = [dict(PIPELINE[0], test_mode=True), PIPELINE[1], *PIPELINE[3:4]]
    dataset = build(drawn, pipeline=[*test, *PIPELINE[5:]])
    expected = [dataset[i]['inputs'] for i in range(3)]
    # A spawned process imports all of it: one is enough.
    loader = DataLoader(
        dataset,
        num_workers=2 if method == 'fork' else 1,
        multiprocessing_context=method,
        collate_fn=pseudo_collate,
    )
    found = [batch['inputs'][0] for batch in loader]
    assert all(map(torch.equal, found, expected))
    assert torch.equal(dataset[0]['inputs'], expected[0])


def held_here():
    return [id(held) for _, held in frame_pack._environments.values()]


def test_a_forked_process_holds_nothing_of_its_parents(drawn):
    assert FramePack(drawn / 'faces.lmdb').clips() and held_here()
    with ProcessPoolExecutor(1, mp_context=get_context('fork')) as pool:
        assert pool.submit(held_here).result() == []


def test_threads_that_read_first_open_it_once(drawn, monkeypatch):
    pack = FramePack(drawn / 'faces.lmdb')
    close_reader(pack.path)
    opened, opening = [], frame_pack.open_reader

    def slow(path):
        opened.append(path)
        time.sleep(0.05)
        return opening(path)

    monkeypatch.setattr(frame_pack, 'open_reader', slow)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: pack.clips(), range(8)))
    assert found == [['00001', '00012', '01601']] * 8
    assert len(opened) == 1


def test_two_sets_and_a_pickled_one_share_the_file(drawn):
    one, two = build(drawn), build(drawn)
    again = pickle.loads(pickle.dumps(one.get_data_info(0)['pack']))
    names = one.get_data_info(0)['frames']
    packs = [one.get_data_info(0)['pack'], two.get_data_info(0)['pack'], again]
    assert len({pack.read('00001', names[0]) for pack in packs}) == 1


def test_folder_names_may_be_nested_and_the_packed_one_any(drawn, tmp_path):
    """The pack may be of the root, or of a folder far below it."""
    for number, root in enumerate((drawn, drawn / 'Clip')):
        out = tmp_path / f'{number}.lmdb'
        pack_frames(str(root), str(out))
        dataset = DFEWDataset(str(drawn), [], pack=str(out))
        info = dataset.get_data_info(0)
        assert info['pack'].read(info['pack_clip'], info['frames'][0])


def test_class_folders(tmp_path):
    for name in ('glad/anna/1', 'glad/ben/1', 'sad/anna/1', 'sad/2'):
        write_frames(tmp_path / 'own' / name, ['a.jpg', 'b.jpg'])
    pack_frames(str(tmp_path / 'own'), str(tmp_path / 'own.lmdb'))
    dataset = ClassFolderDataset(
        str(tmp_path / 'own'),
        [],
        val_ratio=0,
        test_ratio=0,
        pack=str(tmp_path / 'own.lmdb'),
    )
    places = {dataset.get_data_info(i)['pack_clip'] for i in range(4)}
    assert places == {'glad/anna/1', 'glad/ben/1', 'sad/anna/1', 'sad/2'}


def test_a_single_clip(tmp_path):
    write_clip(tmp_path / CLIPS / '00001')
    write_dfew_split(tmp_path, 'train', [(1, 1)])
    out = tmp_path / 'faces.lmdb'
    for folder, name in ((CLIPS, '00001'), (f'{CLIPS}/00001', '.')):
        close_reader(str(out))
        out.unlink(missing_ok=True)
        pack_frames(str(tmp_path / folder), str(out))
        assert build(tmp_path).get_data_info(0)['pack_clip'] == name


def test_missing_packs(drawn):
    kwargs = dict(pack='no.lmdb')
    text = refused(drawn, FileNotFoundError, **kwargs)
    assert 'does not exist' in text and 'pack_frames.py' in text
    with logged() as lines:
        dataset = build(drawn, **kwargs, pack_missing='folders')
    assert any('no pack' in line for line in lines)
    assert 'pack' not in dataset.get_data_info(0)
    with pytest.raises(ValueError, match='pack_missing must be one of'):
        build(drawn, pack_missing='maybe')


def test_packs_that_do_not_fit(copy):
    folder = copy / CLIPS / '00001'
    for name in ('000.jpg', '002.jpg', '003.jpg'):  # of four
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole + b'0')
        text = refused(copy)
        assert f'{name} in {folder} has {len(whole) + 1} bytes' in text
        (folder / name).write_bytes(whole)
    build(copy)
    first = folder / '000.jpg'
    whole = first.read_bytes()
    (folder / '0001.jpg').write_bytes(whole)
    assert f'0001.jpg is only in {folder}' in refused(copy)
    (folder / '0001.jpg').unlink()
    first.unlink()
    assert f'000.jpg is not in {folder}' in refused(copy)


def test_frames_drawn_anew_at_equal_size(tmp_path, monkeypatch):
    """A frame is read of clips spread over the set, not always the first."""
    monkeypatch.setattr('micacl_mm.datasets.packs.fitting._READ', 3)
    rows = [(number, 1) for number in range(1, 7)]
    folders = [tmp_path / CLIPS / f'{number:05d}' for number, _ in rows]
    for folder in folders:
        write_clip(folder, 3, 'bmp', form='bmp')
    write_dfew_split(tmp_path, 'train', rows)
    pack_frames(str(tmp_path / CLIPS), str(tmp_path / 'faces.lmdb'))
    build(tmp_path)
    new = compressed(picture(seed=9), form='bmp')
    for clip, name in ((0, '000.bmp'), (2, '001.bmp'), (4, '002.bmp')):
        path = folders[clip] / name
        old = path.read_bytes()
        path.write_bytes(new)
        text = refused(tmp_path)
        assert f'{name} in {folders[clip]} has other bytes' in text
        path.write_bytes(old)
    build(tmp_path)


def test_packs_that_lack_clips(copy):
    write_clip(copy / CLIPS / '00077')
    write_dfew_split(copy, 'train', [*ROWS, (77, 2)])
    assert 'lacks 1 of 4 clips, 00077 first' in refused(copy)
    write_dfew_split(copy, 'train', [(77, 2)])
    assert 'is of another set' in refused(copy)


def test_unfinished_packs_and_other_versions(copy):
    path = copy / 'faces.lmdb'

    def change(**changes):
        def work(begun):
            record = {**json.loads(begun.get(HEADER)), **changes}
            begun.put(HEADER, json.dumps(record).encode())

        edit(path, work)

    change(complete=False)
    assert 'is unfinished' in refused(copy) and 'goes on' in refused(copy)
    change(complete=True, version=1)
    assert 'is of version 1' in refused(copy)
    edit(path, lambda begun: begun.delete(HEADER))
    assert 'is no pack of frames' in refused(copy)


def test_files_that_are_no_packs(copy):
    path = copy / 'faces.lmdb'
    whole = path.read_bytes()
    assert len(whole) > 40000
    path.write_bytes(whole[: len(whole) // 2])
    assert 'is cut off' in refused(copy)
    path.write_bytes(b'')
    assert 'is unfinished' in refused(copy)
    for broken in (b'text', bytes(20000), whole[:100]):
        path.write_bytes(broken)
        assert 'damaged or no pack' in refused(copy)
    path.unlink()
    path.mkdir()
    assert 'is no file' in refused(copy, FileNotFoundError)


def test_a_damaged_frame_is_told_from_a_broken_one(copy):
    """By its checksum, once it cannot be decoded."""
    path = copy / 'faces.lmdb'
    jpeg = (copy / CLIPS / '00001' / '000.jpg').read_bytes()
    whole = path.read_bytes()
    at = whole.index(jpeg)
    close_reader(str(path))
    path.write_bytes(whole[:at] + bytes(len(jpeg)) + whole[at + len(jpeg) :])
    sample = dict(PIPELINE[0], test_mode=True)
    dataset = build(copy, pipeline=[sample, *PIPELINE[1:]])
    with pytest.raises(ValueError, match='is damaged at 00001/000.jpg'):
        dataset[0]
    # And one that is broken in the folder too.
    cut = compressed(picture())[:300]
    (copy / CLIPS / '00001' / '000.jpg').write_bytes(cut)
    pack_frames(str(copy / CLIPS), str(copy / 'new.lmdb'))
    dataset = build(copy, 'new.lmdb', pipeline=[sample, *PIPELINE[1:]])
    with pytest.raises(ValueError, match='000.jpg cannot be decoded'):
        dataset[0]


def test_a_pack_that_nothing_would_read(drawn):
    stock = [PIPELINE[0], dict(type='RawFrameDecode'), *PIPELINE[2:]]
    text = refused(drawn, pipeline=stock)
    assert 'no transform of the pipeline reads' in text
    assert 'FaceFrameDecode' in text
    dataset = build(drawn, pipeline=stock, lazy_init=True)
    with pytest.raises(ValueError, match='no transform of the pipeline'):
        dataset.full_init()
    assert 'source frames' in refused(drawn, source='videos')


def test_without_lmdb(drawn, monkeypatch):
    module = 'micacl_mm.datasets.packs.layout.lmdb'
    monkeypatch.setattr(module, None)
    text = refused(drawn, ImportError)
    assert "pip install '.[fast]'" in text
