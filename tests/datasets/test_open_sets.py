"""CREMA-D, RAVDESS, MAFW and CAER in the trees of their releases."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from micacl_mm.datasets import (
    CAERDataset,
    CREMADDataset,
    MAFWDataset,
    RAVDESSDataset,
)
from micacl_mm.datasets.actor_datasets import (
    TAIL_CHECKSUMS,
    TAIL_ORDER,
    list_checksum,
)
from micacl_mm.errors import ConfigError, DataError, MissingFileError
from tests.sets import (
    files_below,
    logged,
    open_clips,
    touch,
    write_frames,
    write_open_set,
)

KINDS = {
    'cremad': CREMADDataset,
    'ravdess': RAVDESSDataset,
    'mafw': MAFWDataset,
    'caer': CAERDataset,
}
SITES = {
    'cremad': 'github.com/CheyneyComputerScience/CREMA-D',
    'ravdess': 'zenodo.org/records/1188976',
    'mafw': 'mafw-database.github.io',
    'caer': 'caer-dataset.github.io',
}
ACTORS = [CREMADDataset, RAVDESSDataset]
each_kind = pytest.mark.parametrize('kind', KINDS)


def frames(path, label):
    write_frames(path, ['00001.jpg', '00004.jpg'])


def video(path, label):
    touch(path)


@pytest.fixture
def small(monkeypatch):
    """Releases that have no more clips than ours."""
    for kind in ('cremad', 'ravdess'):
        names = [
            Path(clip).name
            for pairs in open_clips(kind).values()
            for clip, _ in pairs
        ]
        names += sorted(KINDS[kind].BROKEN)
        monkeypatch.setattr(
            KINDS[kind], 'release', staticmethod(lambda names=names: names)
        )


def load(kind, root, **kwargs):
    return KINDS[kind](str(root), pipeline=[], **kwargs)


# ---- what is published


def test_cremad_is_the_release():
    names = CREMADDataset.release()
    assert len(names) == len(set(names)) == 7442
    levels = Counter(name[-2:] for name in names)
    assert levels == {'XX': 6077, 'LO': 455, 'MD': 455, 'HI': 455}
    counts = CREMADDataset.OFFICIAL_COUNTS
    tests = [counts[fold]['test'] for fold in range(1, 6)]
    assert [sum(test) for test in tests] == [1463, 1470, 1476, 1474, 1555]
    assert [sum(c) for c in zip(*tests, strict=True)] == [
        *(1271, 1270, 1271, 1271, 1086, 1269)
    ]


def test_ravdess_is_the_release():
    names = RAVDESSDataset.release()
    assert len(names) == len(set(names)) == 1440
    for counts in RAVDESSDataset.OFFICIAL_COUNTS.values():
        assert counts['test'] == [16] + [32] * 7
        assert counts['train'] == [80] + [160] * 7


@pytest.mark.parametrize('kind', ACTORS)
def test_nobody_is_trained_on_and_tested(kind, tmp_path):
    tested = Counter()
    for fold in kind.FOLDS:
        data = kind(str(tmp_path), [], fold=fold, lazy_init=True)
        people = [
            {data.person(row.video_id) for row in data.read_split(split)}
            for split in ('train', 'test')
        ]
        assert not people[0] & people[1]
        tested.update(row.video_id for row in data.read_split('test'))
    assert set(tested) == set(kind.release()) - kind.BROKEN
    assert set(tested.values()) == {1}


@pytest.mark.parametrize('kind', ACTORS)
@pytest.mark.parametrize('ratio', [0.1, 0.4])
def test_the_validation_slice_has_people_of_its_own(kind, ratio, tmp_path):
    parts = [
        kind(str(tmp_path), [], split=s, val_ratio=ratio, lazy_init=True)
        for s in ('train', 'val')
    ]
    rows = [part.split_rows() for part in parts]
    people = [{parts[0].person(r.video_id) for r in part} for part in rows]
    assert not people[0] & people[1]
    assert {row.label for row in rows[1]} == set(range(len(kind.CLASSES)))
    share = len(rows[1]) / sum(map(len, rows))
    assert share == pytest.approx(ratio, abs=0.035)


# ---- CREMA-D-LT


def tail(tmp_path, fold=1, imbalance=18.4, **kwargs):
    kwargs |= dict(imbalance=imbalance, lazy_init=True)
    return CREMADDataset(str(tmp_path), [], fold, **kwargs)


@pytest.mark.parametrize('fold', TAIL_CHECKSUMS)
def test_the_lists_are_those_of_the_checksums(fold, tmp_path):
    data = tail(tmp_path, fold)
    kept = data.read_split('train')
    assert list_checksum(kept) == TAIL_CHECKSUMS[fold]
    assert data.metainfo['dataset_name'] == 'CREMAD_LT'
    whole = CREMADDataset(str(tmp_path), [], fold, lazy_init=True)
    assert data.read_split('test') == whole.read_split('test')
    assert set(kept) < set(whole.read_split('train'))
    more = tail(tmp_path, fold, 80)
    assert set(more.read_split('train')) < set(kept)
    assert more.metainfo['dataset_name'] != 'CREMAD_LT'


@pytest.mark.parametrize(
    'order', [TAIL_ORDER, TAIL_ORDER[::-1], sorted(TAIL_ORDER)]
)
@pytest.mark.parametrize('imbalance', [1, 18.4])
def test_any_order_has_the_same_tail(order, imbalance, tmp_path):
    data = tail(tmp_path, 1, imbalance, tail_order=','.join(order))
    rows = data.read_split('train')
    found = Counter(CREMADDataset.CLASSES[row.label] for row in rows)
    counts = [found[name] for name in order]
    expected = [873 * imbalance ** (-k / 5) for k in range(6)]
    assert counts == pytest.approx(expected, abs=0.51)
    # Spread over the actors: nobody has two clips more of a class.
    for label in range(6):
        people = Counter(
            data.person(row.video_id) for row in rows if row.label == label
        )
        each = [people[str(actor)] for actor in range(1019, 1092)]
        room = 2 if imbalance > 1 or label != 4 else 12
        assert max(each) - min(each) <= room


@pytest.mark.parametrize(
    'kwargs, said',
    [
        ({'imbalance': 0.5}, '1 or more'),
        ({'imbalance': '18'}, '1 or more'),
        ({'imbalance': float('nan')}, '1 or more'),
        ({'imbalance': float('inf')}, '1 or more'),
        ({'tail_order': 'Happy,Sad'}, 'each of Angry'),
        ({'tail_order': [*TAIL_ORDER, 'Sad']}, 'each of Angry'),
        ({'fold': 6}, 'fold'),
    ],
)
def test_wrong_arguments_of_cremad(kwargs, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        CREMADDataset(str(tmp_path), [], **kwargs)


# ---- on disk


@each_kind
@pytest.mark.parametrize('source', ['frames', 'videos'])
@pytest.mark.parametrize('above', ['', 'set/set'])
def test_every_clip_is_found(kind, source, above, tmp_path, small):
    root = tmp_path / above
    write = frames if source == 'frames' else video
    write_open_set(root, kind, write, videos=source == 'videos')
    before = files_below(tmp_path)
    for split, pairs in open_clips(kind).items():
        split = 'val' if split == 'validation' else split
        data = load(kind, tmp_path, source=source, split=split)
        assert data.metainfo['classes'] == KINDS[kind].CLASSES
        places = {d.get('frame_dir', d.get('filename')): d for d in data}
        assert len(places) == len(pairs)
        for clip, label in pairs:
            found = [p for p in places if f'/{clip}.' in f'{p}.']
            assert [places[p]['label'] for p in found] == [label]
    assert files_below(tmp_path) == before


@each_kind
def test_crops_are_preferred_to_other_copies(kind, tmp_path, small):
    write_open_set(tmp_path, kind, frames)
    write_open_set(tmp_path, kind, video, videos=True)
    for copy in ('frames', 'optical_flow'):
        shutil.copytree(tmp_path / 'faces', tmp_path / copy)
    for extra in ('AudioWAV/1001_DFA_ANG_XX.wav', 'a.txt', 'x/.DS_Store'):
        touch(tmp_path / extra)
    data = load(kind, tmp_path)
    assert all(f'{tmp_path}/faces/' in d['frame_dir'] for d in data)
    assert len(data) == len(open_clips(kind)['train'])


def test_archives_of_each_actor_are_one_copy(tmp_path, small):
    write_open_set(tmp_path / 'all', 'ravdess', video, videos=True)
    for folder in (tmp_path / 'all').iterdir():
        shutil.move(folder, tmp_path / f'Video_Speech_{folder.name}/')
    data = load('ravdess', tmp_path, source='videos')
    assert len(data) == 16


@each_kind
def test_an_empty_folder_says_where_to_get_the_set(kind, tmp_path):
    with pytest.raises(MissingFileError) as caught:
        load(kind, tmp_path)
    assert SITES[kind] in str(caught.value)
    with pytest.raises(MissingFileError, match='--data-root'):
        load(kind, tmp_path / 'none')


def test_damaged_clips_stay_out(tmp_path, small):
    write_open_set(tmp_path, 'cremad', video, videos=True)
    for name in CREMADDataset.BROKEN:
        touch(tmp_path / f'VideoFlash/{name}.flv')
    with logged() as lines:
        data = load('cremad', tmp_path, source='videos')
    assert not {d['video_id'] for d in data} & CREMADDataset.BROKEN
    assert all(name in ' '.join(lines) for name in CREMADDataset.BROKEN)
    assert 'Differs from the official counts: Angry 2 instead' in lines[0]


@each_kind
def test_a_drawn_set_has_what_is_there(kind, tmp_path):
    write_open_set(tmp_path, kind, frames)
    (tmp_path / 'synthetic.json').write_text(json.dumps({}))
    with logged() as lines:
        data = load(kind, tmp_path)
    assert len(data) == len(open_clips(kind)['train'])
    assert 'no official counts' in lines[0]
    if KINDS[kind].OFFICIAL_TOTAL:
        (tmp_path / 'synthetic.json').unlink()
        with logged() as lines:
            load(kind, tmp_path)
        total = KINDS[kind].OFFICIAL_TOTAL
        listed = sum(map(len, open_clips(kind).values()))
        assert f'{listed} clips are listed, {total} in the' in lines[0]


@pytest.mark.parametrize(
    'row', ['1.mp4', '1.mp4 joy', 'x.mp4 anger', '1.mp4 anger fear', '1,anger']
)
def test_wrong_rows_of_mafw(row, tmp_path):
    write_open_set(tmp_path, 'mafw', frames)
    path = next(tmp_path.rglob('set_1/train.txt'))
    path.write_bytes(path.read_bytes() + row.encode())
    with pytest.raises(DataError, match='line 23'):
        load('mafw', tmp_path)


@pytest.mark.parametrize('kind', ['cremad', 'ravdess', 'mafw'])
def test_a_list_of_other_code(kind, tmp_path, small):
    write_open_set(tmp_path, kind, frames)
    pairs = open_clips(kind)['train'][3:]
    path = tmp_path / 'list.csv'
    path.write_text(''.join(f'/x/{c} 16 {label}\n' for c, label in pairs))
    data = load(kind, tmp_path, ann_file=str(path))
    assert [d['label'] for d in data] == [label for _, label in pairs]
