"""DFEW's split files, codes and official counts."""

import numpy as np
import pytest

from micacl_mm.datasets import DFEWDataset
from tests.sets import (
    CLASSES,
    logged,
    write_dfew,
    write_dfew_split,
    write_frames,
    write_video,
)

ROWS = [(n, 1 + n % 7) for n in range(1, 15)]


def load(root, **kwargs):
    return DFEWDataset(str(root), pipeline=[], **kwargs)


def pairs(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(info['video_id'], info['label']) for info in infos]


def test_labels_are_codes_less_one_in_the_fixed_class_order(tmp_path):
    write_dfew(tmp_path, [(code, code) for code in range(1, 8)])
    dataset = load(tmp_path)
    assert dataset.metainfo['classes'] == CLASSES
    assert pairs(dataset) == [(f'{c:05d}', c - 1) for c in range(1, 8)]
    assert dataset.class_counts == [1] * 7


def test_fold_and_split_choose_the_file(tmp_path):
    expected = {}
    for fold in range(1, 6):
        for split in ('train', 'test'):
            name = 10 * fold + (split == 'test')
            write_dfew(tmp_path, [(name, 3)], split=split, fold=fold)
            expected[fold, split] = [(f'{name:05d}', 2)]
    for (fold, split), rows in expected.items():
        assert pairs(load(tmp_path, fold=fold, split=split)) == rows
    # As an environment variable hands it over.
    assert pairs(load(tmp_path, fold='4')) == expected[4, 'train']


@pytest.mark.parametrize(
    'spelling', ['{}', '{:05d}', '{}.mp4', '{:05d}.MP4', './{}', '"{}"']
)
def test_clip_numbers_with_and_without_padding(tmp_path, spelling):
    write_dfew(tmp_path, ROWS)
    rows = [(spelling.format(name), label) for name, label in ROWS]
    write_dfew_split(tmp_path, 'train', rows)
    assert pairs(load(tmp_path)) == [(f'{n:05d}', c - 1) for n, c in ROWS]


def test_unpadded_folders_are_the_same_clips(tmp_path):
    for name, _ in ROWS:
        folder = tmp_path / f'Clip/clip_224x224/{name}'
        write_frames(folder, ['1.jpg', '2.jpg', '10.jpg'])
    write_dfew_split(tmp_path, 'train', ROWS)
    dataset = load(tmp_path)
    assert len(dataset) == len(ROWS)
    frames = dataset.get_data_info(0)['frames']
    assert frames == ['1.jpg', '2.jpg', '10.jpg']


@pytest.mark.parametrize('end', ['\n', '\r\n', '\n\n', '\r\n\r\n\r\n'])
@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
@pytest.mark.parametrize('header', [True, False])
def test_line_ends_marks_and_header(tmp_path, end, mark, header):
    path = write_dfew(tmp_path, ROWS, header=header, end=end)
    path.write_bytes(mark + path.read_bytes())
    assert pairs(load(tmp_path)) == [(f'{n:05d}', c - 1) for n, c in ROWS]


@pytest.mark.parametrize(
    ('row', 'words'),
    [
        ((3, 0), ['label must be 1..7', "'0'", 'Happy']),
        ((3, 8), ['label must be 1..7', "'8'"]),
        ((3, 'Happy'), ['label must be 1..7', "'Happy'"]),
        ((3, ''), ['label must be 1..7', "''"]),
        (('../3', 1), ['a row must be', '../3']),
        (('/3', 1), ['a row must be', '/3']),
        (('x', 1), ['a row must be', 'x,1']),
        (('3.5', 1), ['a row must be', '3.5']),
        (('3\t1', ''), ['a row must be']),
    ],
)
def test_wrong_rows(tmp_path, row, words):
    path = write_dfew(tmp_path, [(1, 1), (2, 1)])
    write_dfew_split(tmp_path, 'train', [(1, 1), (2, 1), row])
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    told = [f'DFEWDataset: {path}, line 4', 'Fix: restore', 'Expected tree']
    assert all(word in str(error.value) for word in [*words, *told])


def test_row_without_label(tmp_path):
    path = write_dfew(tmp_path, [(1, 1)])
    path.write_text('video_name,label\n1\n')
    with pytest.raises(ValueError, match='line 2: a row must be'):
        load(tmp_path)


def test_clip_listed_twice_also_if_spelt_differently(tmp_path):
    write_dfew(tmp_path, [(1, 1), (2, 2)])
    path = write_dfew_split(
        tmp_path, 'train', [(1, 1), ('00001', 2), ('2.mp4', 2)]
    )
    with pytest.raises(ValueError, match='1 of them more often') as error:
        load(tmp_path)
    # The second of the two is the row to look at.
    assert f'DFEWDataset: {path}, line 3: ' in error.value.problem
    assert '00001 (lines 2, 3)' in error.value.problem


@pytest.mark.parametrize('header', [True, False])
def test_split_file_without_rows(tmp_path, header):
    write_dfew(tmp_path, [(1, 1)])
    path = write_dfew_split(tmp_path, 'train', [], header=header)
    with pytest.raises(ValueError, match='at least one clip') as error:
        load(tmp_path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('fold', [0, 6, 'a', '', None, 1.5, True])
def test_unknown_fold(tmp_path, fold):
    with pytest.raises(ValueError, match='fold must be one of'):
        load(tmp_path, fold=fold)


def test_missing_split_file_shows_the_expected_tree(tmp_path):
    write_dfew(tmp_path, [(1, 1)])
    with pytest.raises(FileNotFoundError, match='no split file') as error:
        load(tmp_path, fold=2)
    name = 'EmoLabel_DataSplit/train(single-labeled)/set_2.csv'
    assert f'{name} below {tmp_path}' in error.value.problem
    assert 'clip_224x224/00001/*.jpg' in error.value.cure


def test_official_counts_add_up():
    counts = DFEWDataset.OFFICIAL_COUNTS
    test = np.array([counts[fold]['test'] for fold in range(1, 6)])
    train = np.array([counts[fold]['train'] for fold in range(1, 6)])
    whole = [2445, 1894, 2669, 2173, 1469, 145, 902]
    assert test.sum(0).tolist() == whole
    assert (train + test).tolist() == [whole] * 5
    assert test.sum(1).tolist() == [2341, 2341, 2340, 2339, 2336]
    assert train.sum(1).tolist() == [9356, 9356, 9357, 9358, 9361]


def test_log_says_what_differs_from_the_official_counts(tmp_path):
    write_dfew(tmp_path, ROWS)
    with logged() as lines:
        load(tmp_path)
    line = next(line for line in lines if 'DFEWDataset' in line)
    assert 'fold 1, train: 14 clips (Happy 2, Sad 2,' in line
    assert 'Disgust 2 instead of 116' in line
    assert 'Happy 2 instead of 1956' in line


def official_tree(root, fold, changed=0):
    """A whole test fold of videos, one byte each: never decoded."""
    labels = np.repeat(range(1, 8), DFEWDataset.OFFICIAL_COUNTS[fold]['test'])
    rows = list(enumerate(labels[changed:], start=1))
    write_dfew_split(root, 'test', rows, fold=fold)
    folder = root / 'Clip/original'
    folder.mkdir(parents=True)
    for name, _ in rows:
        (folder / f'{name}.mp4').write_bytes(b'x')


@pytest.mark.parametrize('changed', [0, 1])
def test_log_of_a_complete_fold(tmp_path, changed):
    official_tree(tmp_path, 3, changed)
    with logged() as lines:
        dataset = load(tmp_path, fold=3, split='test', source='videos')
    line = next(line for line in lines if 'DFEWDataset' in line)
    if changed:
        assert line.count('instead of') == 1
        assert 'Happy 488 instead of 489' in line
        assert 'are met' not in line
    else:
        assert 'The official counts are met' in line
        assert 'instead of' not in line
        assert dataset.class_counts == [489, 379, 534, 435, 294, 29, 180]
    assert f'{2340 - changed} clips' in line


def test_frames_wanted_but_only_videos_there(tmp_path):
    write_video(tmp_path / 'Clip/original/1.mp4', 2)
    write_dfew_split(tmp_path, 'train', [(1, 1)])
    with pytest.raises(FileNotFoundError, match='no frames of clips') as error:
        load(tmp_path)
    assert 'source' in str(error.value) and str(tmp_path) in str(error.value)
    assert len(load(tmp_path, source='videos')) == 1
