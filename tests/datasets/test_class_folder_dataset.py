"""Own clips: where they lie, what they are called, how they are cut."""

import unicodedata
from pathlib import Path

import pytest

from micacl_mm.datasets import ClassFolderDataset
from micacl_mm.datasets.class_folder_dataset import find_classes
from micacl_mm.hooks.class_counts_hook import count_classes
from micacl_mm.utils.folders import VIDEO_SUFFIXES
from tests.sets import (
    frame_number,
    logged,
    touch,
    write_frames,
    write_video,
)

SPLITS = ('train', 'val', 'test')
COUNTS = {'class_2': 23, 'class_10': 9, 'class_1': 4}


def write_own(root, counts=COUNTS, frames=False):
    for name, count in counts.items():
        for number in range(count):
            clip = Path(root, name, f'p{number % 5}_{number}')
            if frames:
                write_frames(clip, ['00007.jpg', '00012.png'])
            else:
                touch(clip.with_suffix('.mp4'))


def load(root, split='train', **kwargs):
    return ClassFolderDataset(str(root), pipeline=[], split=split, **kwargs)


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def ids(root, **kwargs):
    """Names of the clips of each split."""
    return {
        split: {i['video_id'] for i in infos(load(root, split, **kwargs))}
        for split in SPLITS
    }


def path_of(info):
    return Path(info.get('filename') or info['frame_dir'])


@pytest.mark.parametrize('frames', [False, True])
def test_labels_are_the_folders_in_natural_order(tmp_path, frames):
    write_own(tmp_path, frames=frames)
    seen = []
    for split in SPLITS:
        dataset = load(tmp_path, split)
        assert dataset.metainfo['classes'] == (
            'class_1',
            'class_2',
            'class_10',
        )
        assert dataset.metainfo['dataset_name'] == f'folder-{tmp_path.name}'
        for info in infos(dataset):
            folder = path_of(info).parent.name
            assert dataset.metainfo['classes'][info['label']] == folder
            assert f'{folder}/{path_of(info).stem}' == info['video_id']
            seen.append(path_of(info))
    listed = tmp_path.glob('*/*')
    assert sorted(seen) == sorted(listed) and len(seen) == 36


def test_counts_are_found_and_logged(tmp_path):
    write_own(tmp_path, {'a': 1, 'b': 20, 'c': 2})
    with logged() as lines:
        dataset = load(tmp_path)
        test, val = load(tmp_path, 'test'), load(tmp_path, 'val')
    # 20 % of b and one of c for test; then 10 % of what is left.
    assert dataset.class_counts == [1, 14, 1] == count_classes(dataset, 3)
    assert test.class_counts == [0, 4, 1] and val.class_counts == [0, 2, 0]
    text = '\n'.join(lines)
    assert 'train: 16 clips (a 1, b 14, c 1). Imbalance 14.0 : 1.' in text
    assert 'test has no a.' in text


def test_the_pixels_are_of_the_clip(tmp_path):
    for number, name in enumerate(['first', 'second', 'third']):
        names = [f'{7 + 3 * i:05d}.jpg' for i in range(number + 4)]
        write_frames(tmp_path / f'frames/{name}/only', names)
        write_video(tmp_path / f'videos/{name}/only.mp4', number + 4)
    sampler = dict(type='SampleInstances', num_frames=4, test_mode=True)
    decode = [sampler, dict(type='RawFrameDecode')]
    videos = [dict(type='DecordInit'), sampler, dict(type='DecordDecode')]
    for root, pipeline in (('frames', decode), ('videos', videos)):
        dataset = ClassFolderDataset(str(tmp_path / root), pipeline=pipeline)
        for label in range(3):
            sample = dataset[label]
            assert sample['label'] == label
            assert sample['total_frames'] == label + 4
            decoded = [frame_number(image) for image in sample['imgs']]
            assert decoded == sample['frame_inds'].tolist()


@pytest.mark.parametrize('kwargs', [{}, {'group_pattern': '/(p[0-9]+)_'}])
def test_splits_are_a_partition(tmp_path, kwargs):
    write_own(tmp_path, {'a': 47, 'b': 20, 'c': 5})
    found = ids(tmp_path, val_ratio=0.2, test_ratio=0.2, **kwargs)
    clips = {f'{p.parent.name}/{p.stem}' for p in tmp_path.glob('*/*')}
    assert set.union(*found.values()) == clips
    assert sum(map(len, found.values())) == len(clips)
    for name in 'abc':
        assert all(any(c[0] == name for c in found[s]) for s in SPLITS)
    if kwargs:
        sides = [{c[2:].split('_')[0] for c in found[s]} for s in SPLITS]
        assert len(set.union(*sides)) == sum(map(len, sides)) == 5
    else:
        assert found != ids(tmp_path, val_seed=1, val_ratio=0.2)
    dataset = load(tmp_path, val_ratio=0.2, test_ratio=0.2, **kwargs)
    for split in SPLITS:
        assert {r.video_id for r in dataset.read_split(split)} == found[split]


@pytest.mark.parametrize(
    'classes', [('class_10', 'class_2'), ('class_2', 'class_10', 'class_1')]
)
def test_some_of_the_classes_alone(tmp_path, classes):
    """As in MMDetection; who is held out stays the same."""
    write_own(tmp_path)
    before = ids(tmp_path)
    wanted = ('class_10', 'class_1', 'class_2')
    for given in (wanted, 'class_10, class_1,class_2'):
        dataset = load(tmp_path, classes=given)
        assert dataset.metainfo['classes'] == wanted
        for info in infos(dataset):
            assert info['video_id'].startswith(f'{wanted[info["label"]]}/')
    for split in SPLITS:
        dataset = load(tmp_path, split, metainfo=dict(classes=classes))
        assert dataset.metainfo['classes'] == classes
        found = infos(dataset)
        for info in found:
            assert info['video_id'].startswith(f'{classes[info["label"]]}/')
        assert {info['video_id'] for info in found} == {
            name for name in before[split] if name.split('/')[0] in classes
        }


def test_other_files_are_named_once(tmp_path):
    for name in 'ab':
        for file in ('1.mp4', 'a.gif', 'A.GIF', 'x.mp4.part', 'x/1.jpg'):
            touch(tmp_path / name / file)
    with logged() as lines:
        dataset = load(tmp_path, source='videos', test_ratio=0, val_ratio=0)
    assert dataset.class_counts == [1, 1]
    (told,) = [line for line in lines if 'not used are' in line]
    assert 'not used are 4 .gif, 2 .part, 2 frames.' in told
    assert load(tmp_path, source='frames', test_ratio=0).class_counts == [1, 1]
    with pytest.raises(ValueError, match='must be all videos or all folders'):
        load(tmp_path)


def test_given_splits_are_kept(tmp_path):
    for split, numbers in (('Train', 8), ('validation', 2), ('test', 3)):
        for name in ('a', 'b'):
            for number in range(numbers):
                touch(tmp_path / split / name / f'{split}_{number}.avi')
    for ratio in (0, 0.5):
        found = ids(tmp_path, val_ratio=ratio, test_ratio=ratio)
        assert {k: len(v) for k, v in found.items()} == dict(
            train=16, val=4, test=6
        )
        assert all(i.startswith('val/') for i in found['val'])


def test_a_test_set_alone_may_lack_classes(tmp_path):
    touch(tmp_path / 'test/a/x.mp4')
    (tmp_path / 'test/b').mkdir()
    assert load(tmp_path, 'test').class_counts == [1, 0]
    with pytest.raises(ValueError, match="split 'train'.*got none of class a"):
        load(tmp_path)


def test_persons_in_two_given_splits_are_named(tmp_path):
    for split in SPLITS:
        for name in 'ab':
            touch(tmp_path / f'{split}/{name}/p1_{split}.mp4')
            touch(tmp_path / f'{split}/{name}/{split}_1.mp4')
    with logged() as lines:
        load(tmp_path, group_pattern='/([^/_]+)_')
    assert any('1 persons are in more than one' in line for line in lines)


def test_every_suffix_and_folders_of_persons(tmp_path):
    for number, suffix in enumerate(VIDEO_SUFFIXES):
        touch(tmp_path / f'a/anna/{number}{suffix.upper()}')
        touch(tmp_path / f'b/ben/deeper/{number}{suffix}')
    touch(tmp_path / 'a/notes.txt')
    touch(tmp_path / 'a/thumbnail.jpg')
    touch(tmp_path / 'readme.txt')
    dataset = load(tmp_path, test_ratio=0, val_ratio=0)
    assert dataset.class_counts == [len(VIDEO_SUFFIXES)] * 2
    assert infos(dataset)[0]['video_id'] == 'a/anna/0'
    with pytest.raises(ValueError, match='or persons, of a class'):
        # Each person is all of a class.
        load(tmp_path, 'test', group_pattern=r'^\w/(\w+)', test_ratio=0.4)


@pytest.mark.parametrize('frames', [False, True])
def test_empty_clips(tmp_path, frames):
    write_own(tmp_path, {'a': 8, 'b': 8}, frames=frames)
    if frames:
        (tmp_path / 'a/p9_hollow').mkdir()
        touch(tmp_path / 'b/p9_cut/1.jpg', b'')
        wrong = ['a/p9_hollow (no image in ', 'b/p9_cut (empty file ']
    else:
        touch(tmp_path / 'a/p9_cut.mp4', b'')
        (tmp_path / 'b/p9_gone.mp4').symlink_to(tmp_path / 'nowhere')
        wrong = ['a/p9_cut (empty file ', 'b/p9_gone (cannot read ']
    kwargs = dict(test_ratio=0, val_ratio=0)
    with pytest.raises(FileNotFoundError, match='2 of 18 clips') as error:
        load(tmp_path, **kwargs)
    assert all(text in str(error.value) for text in wrong)
    dataset = load(tmp_path, missing='drop', **kwargs)
    assert dataset.class_counts == [8, 8]
    for path in tmp_path.glob('*/*/*' if frames else '*/*'):
        if not path.is_symlink():
            path.write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='more than half') as error:
        load(tmp_path, missing='drop', **kwargs)
    assert 'clip_root' not in str(error.value)


def test_one_spelling_of_accents(tmp_path):
    apart = unicodedata.normalize('NFD', 'gêné')
    write_own(tmp_path / 'mac', {apart: 5, 'b': 5})
    write_own(tmp_path / 'linux', {'gêné': 5, 'b': 5})
    assert ids(tmp_path / 'mac') == ids(tmp_path / 'linux')
    assert find_classes(str(tmp_path / 'mac'))[0] == ['b', 'gêné']
    load(tmp_path / 'mac', classes=['gêné', 'b'])


TWO = ['a/1.mp4', 'b/1.mp4']
GIVEN = ['train/a/1.mp4', 'train/b/1.mp4']
WRONG = {
    'nothing': ([], {}, 'must hold a folder for each class, got none'),
    'one class': (['a/1.mp4'], {}, 'two classes or more.*, got a. Fix'),
    'no clip': (['a/1.mp4', 'b/x.txt'], {}, 'got none of class b'),
    'case': (['a/1.mp4', 'A/2.mp4'], {}, 'more than case, got A, a. Fix'),
    'copies': ([*TWO, 'a/1.AVI'], {}, 'suffix and case, got .*1.AVI, .*1.mp4'),
    'not listed': (
        [*TWO, 'c/1.mp4'],
        dict(classes=['a', 'b', 'd', 'd']),
        r'which are a, b, c, got a, b, d, d \(unlike: c, d\)',
    ),
    'beside splits': (
        ['train/a/1.mp4', 'test/a/1.mp4', 'extra/x.txt'],
        {},
        'one folder for each split, got extra, test, train',
    ),
    'split twice': (
        [*GIVEN, 'val/a/1.mp4', 'valid/a/2.mp4'],
        {},
        'one folder for each split, got train, val, valid',
    ),
    'bare split': (
        [*GIVEN, 'test/1.mp4'],
        {},
        'test must hold a folder for each class',
    ),
    'hollow split': (
        [*GIVEN, 'test/a/x.txt'],
        {},
        "split 'test' of .* must have videos, got none",
    ),
    'untrained': ([*GIVEN, 'test/c/1.mp4'], {}, 'got none of class c'),
    'no test': (
        TWO,
        dict(split='test', test_ratio=0),
        r"split 'test' .* or set test_ratio \(--test-ratio\) above 0",
    ),
    'no val': (
        TWO,
        dict(split='val'),
        r"split 'val' .* or set val_ratio \(--val-ratio\) above 0",
    ),
    'ratio': (TWO, dict(test_ratio='0.2'), 'test_ratio must be in'),
    'source': (TWO, dict(source='mp4'), "one of 'auto', 'videos'"),
    'other source': (
        TWO,
        dict(source='frames'),
        'must have frames, got none of class a, b',
    ),
    **{
        f'pattern {pattern}': (TWO, dict(group_pattern=pattern), words)
        for pattern, words in (
            ('(', 'must be a regular expression with a group: missing'),
            ('1', 'with a group: no such group'),
            ('(x)', 'must find a person in .a/1'),
            ('/(y*)', 'must find a person in .a/1'),
        )
    },
}


@pytest.mark.parametrize(
    ('paths', 'kwargs', 'words'), WRONG.values(), ids=WRONG
)
def test_what_is_no_set_of_classes(tmp_path, paths, kwargs, words):
    for path in paths:
        touch(tmp_path / path)
    with pytest.raises(ValueError, match=words) as error:
        load(tmp_path, **kwargs)
    text = str(error.value)
    assert text.startswith('ClassFolderDataset: ')
