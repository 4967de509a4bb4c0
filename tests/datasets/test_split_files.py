"""Split files of DFEW and FERV39k: forms, labels, subsets and counts."""

import numpy as np
import pytest

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.ferv39k_dataset import SCENARIOS, SCENES
from tests.sets import (
    CLASSES,
    logged,
    touch,
    write_dfew,
    write_dfew_split,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

ROWS = [(n, 1 + n % 7) for n in range(1, 15)]
CLIPS = [
    f'{scene}/{CLASSES[(3 * number) % 7]}/{number:04d}'
    for number, scene in enumerate(SCENES, start=1)
]
KINDS = [DFEWDataset, FERV39kDataset]


def load(kind, root, **kwargs):
    return kind(str(root), pipeline=[], **kwargs)


def write(kind, root):
    """A set of some clips; its split file, its rows and what they mean."""
    if kind is DFEWDataset:
        path = write_dfew(root, ROWS, header=False)
        names = {f'{n:05d}': label - 1 for n, label in ROWS}
    else:
        path = write_ferv(root, CLIPS)
        names = {clip: CLASSES.index(clip.split('/')[1]) for clip in CLIPS}
    return path, path.read_text().splitlines(), names


def found(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {info['video_id']: info['label'] for info in infos}


@pytest.mark.parametrize('kind', KINDS)
def test_line_ends_marks_and_header(tmp_path, kind):
    path, lines, names = write(kind, tmp_path)
    for end in ('\n', '\r\n', '\r\n\r\n\r\n'):
        for mark, header in ((b'', []), (b'\xef\xbb\xbf', ['name,label'])):
            text = end.join([*header, *lines]) + end
            path.write_bytes(mark + text.encode())
            assert found(load(kind, tmp_path)) == names


@pytest.mark.parametrize(
    ('kind', 'row'),
    [
        *((DFEWDataset, f'{name},7') for name in ('7', '00007', './7')),
        *((DFEWDataset, f'{name},7') for name in ('7.mp4', '007.MP4', '"7"')),
        (DFEWDataset, '"./7.avi", "7"'),
        *(
            (FERV39kDataset, f'War/Fear/{name} Fear')
            for name in ('7', '0007', '0007.mp4', '7.MP4')
        ),
        (FERV39kDataset, '"War/Fear/0007" "Fear"'),
        (FERV39kDataset, './War/Fear/0007.AVI Fear'),
        (FERV39kDataset, '"War/Fear/7",fear'),
        (FERV39kDataset, 'War\\Fear\\0007\tFEAR'),
        (FERV39kDataset, 'war/fear/0007,  Fear'),
    ],
)
@pytest.mark.parametrize('folder', ['7', '00007'])
def test_forms_of_a_row(tmp_path, kind, row, folder):
    if kind is DFEWDataset:
        path = write_dfew_split(tmp_path, 'train', [(1, 1)])
        place, videos = f'Clip/clip_224x224/{folder}', 'Clip/original'
    else:
        path = write_ferv_split(tmp_path, 'train', CLIPS[:1])
        place = f'2_ClipsforFaceCrop/War/Fear/{folder}'
        videos = '0_7_LabelClips/War/Fear'
    path.write_text(row)
    write_frames(tmp_path / place, ['1.jpg', '2.jpg', '10.jpg'])
    name = '00007' if kind is DFEWDataset else 'War/Fear/0007'
    dataset = load(kind, tmp_path)
    assert found(dataset) == {name: 6}
    frames = dataset.get_data_info(0)['frames']
    assert frames == ['1.jpg', '2.jpg', '10.jpg']
    write_video(tmp_path / videos / f'{folder}.mp4', 2)
    assert found(load(kind, tmp_path, source='videos')) == {name: 6}


@pytest.mark.parametrize(
    ('kind', 'row', 'words'),
    [
        (DFEWDataset, '3,0', "label must be 1..7 .*, got '0'"),
        (DFEWDataset, '3,8', 'label must be 1..7'),
        (DFEWDataset, '3,Happy', 'label must be 1..7'),
        (DFEWDataset, '3,', 'label must be 1..7'),
        *(
            (DFEWDataset, row, 'a row must be')
            for row in ('../3,1', '/3,1', 'x,1', '3.5,1', '3\t1', '3')
        ),
        (FERV39kDataset, 'War/Sad/3 Sadness', "one of .*, got 'Sadness'"),
        (FERV39kDataset, 'War/Sad/3 2', "one of .*, got '2'"),
        (FERV39kDataset, 'War/Sad/3 Happy', "emotion of the clip's path"),
        *(
            (FERV39kDataset, row, 'a row must be')
            for row in ('War/Sad/3', 'Sad/3 Sad', 'x/War/Sad/3 Sad')
        ),
        (FERV39kDataset, 'War/Sad/3 Sad 30', 'a row must be'),
        (FERV39kDataset, '/War/Sad/3 Sad', 'a row must be'),
        (FERV39kDataset, '../Sad/3 Sad', 'below data_root'),
        (FERV39kDataset, 'War\\Sad\\.. Sad', 'below data_root'),
    ],
)
def test_wrong_rows(tmp_path, kind, row, words):
    path, lines, _ = write(kind, tmp_path)
    path.write_text('\n'.join([*lines, row]))
    with pytest.raises(ValueError, match=words) as error:
        load(kind, tmp_path)
    place = f'{kind.__name__}: {path}, line {len(lines) + 1}'
    assert place in error.value.problem
    assert 'Expected tree' in error.value.cure


@pytest.mark.parametrize('kind', KINDS)
def test_a_clip_that_is_listed_twice_or_no_clip_at_all(tmp_path, kind):
    path, lines, _ = write(kind, tmp_path)
    again = lines[1].replace(',', '.mp4,').replace(' ', '.mp4 ')
    path.write_text('\n'.join([*lines, again]))
    place = f'{path}, line {len(lines) + 1}'
    with pytest.raises(
        ValueError, match='once, got .* in line 2 too'
    ) as error:
        load(kind, tmp_path)
    assert place in error.value.problem
    for text in ('', 'video_name,label\n', '\n\n'):
        path.write_text(text)
        with pytest.raises(ValueError, match='at least one clip, got none'):
            load(kind, tmp_path)
    path.write_bytes(b'1,\xff\n')
    with pytest.raises(ValueError, match='UTF-8 text, got an invalid byte at'):
        load(kind, tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='no split file') as error:
        load(kind, tmp_path)
    assert f'{path.relative_to(tmp_path)} below' in error.value.problem
    assert kind.EXPECTED_TREE in error.value.cure


@pytest.mark.parametrize(
    ('kind', 'wrong'),
    [
        *((DFEWDataset, dict(fold=f)) for f in (0, 6, 'a', '', None, 1.5)),
        *((FERV39kDataset, dict(subset=s)) for s in ('All', 'war', '', None)),
    ],
)
def test_folds_and_subsets_that_there_are_not(tmp_path, kind, wrong):
    with pytest.raises(ValueError, match=f'{[*wrong][0]} must be one of'):
        load(kind, tmp_path, **wrong)


def test_fold_and_split_choose_the_file(tmp_path):
    expected = {}
    for fold in range(1, 6):
        for split in ('train', 'test'):
            name = 10 * fold + (split == 'test')
            write_dfew(tmp_path, [(name, 3)], split=split, fold=fold)
            expected[fold, split] = {f'{name:05d}': 2}
    for (fold, split), rows in expected.items():
        dataset = load(DFEWDataset, tmp_path, fold=fold, split=split)
        assert found(dataset) == rows
    # As an environment variable hands it over.
    assert found(load(DFEWDataset, tmp_path, fold='4')) == expected[4, 'train']


# ---- scenes and scenarios of FERV39k


def ids(root, **kwargs):
    return [*found(load(FERV39kDataset, root, **kwargs))]


def test_scenarios_partition_the_22_scenes(tmp_path):
    assert len(SCENES) == len(set(SCENES)) == 22
    assert [len(scenes) for scenes in SCENARIOS.values()] == [6, 6, 6, 4]
    write_ferv(tmp_path, CLIPS)
    parts = {name: ids(tmp_path, subset=name) for name in SCENARIOS}
    assert sorted(sum(parts.values(), [])) == sorted(CLIPS)
    for name, clips in parts.items():
        assert [clip.split('/')[0] for clip in clips] == [*SCENARIOS[name]]


def test_a_scene_from_all_scenes_or_its_own_file(tmp_path):
    clips = ['War/Sad/0001', 'War/Fear/0002', 'Warfare/Sad/0001']
    whole = write_ferv(tmp_path, clips)
    assert ids(tmp_path, subset='War') == clips[:2]
    # Its own file is preferred where there is one, and suffices alone.
    name = '22_scenes/train_War.csv'
    own = write_ferv_split(tmp_path, 'train', clips[1:2], name=name)
    assert ids(tmp_path, subset='War') == clips[1:2]
    assert ids(tmp_path) == clips
    text = whole.read_text()
    whole.unlink()
    assert ids(tmp_path, subset='War') == clips[1:2]
    # One that is empty, as in some copies, is passed over.
    whole.write_text(text)
    for content in ('', '\n\n', '\ufeff\r\n'):
        own.write_text(content)
        assert ids(tmp_path, subset='War') == clips[:2]
    with pytest.raises(ValueError, match="subset 'Speech'.*--subset all"):
        load(FERV39kDataset, tmp_path, subset='Speech')


@pytest.mark.parametrize('change', [str.lower, str.upper])
def test_the_slice_does_not_depend_on_the_case_of_the_file(tmp_path, change):
    clips = [
        f'{s}/{e}/{n:04d}' for s in SCENES[:3] for e in CLASSES for n in (1, 2)
    ]
    path = write_ferv(tmp_path, clips)

    def slices():
        splits = ('train', 'val')
        return [ids(tmp_path, split=s, val_ratio=0.25) for s in splits]

    before = slices()
    path.write_text(change(path.read_text()))
    assert slices() == before
    assert len(before[1]) == 7 * round(0.25 * len(clips) / 7)


# ---- official counts


def test_official_counts_add_up():
    counts = DFEWDataset.OFFICIAL_COUNTS
    test = np.array([counts[fold]['test'] for fold in range(1, 6)])
    train = np.array([counts[fold]['train'] for fold in range(1, 6)])
    whole = [2445, 1894, 2669, 2173, 1469, 145, 902]
    assert test.sum(0).tolist() == whole
    assert (train + test).tolist() == [whole] * 5
    assert test.sum(1).tolist() == [2341, 2341, 2340, 2339, 2336]
    counts = FERV39kDataset.OFFICIAL_COUNTS['all']
    assert (sum(counts['train']), sum(counts['test'])) == (31088, 7847)


def test_log_of_a_complete_fold(tmp_path, monkeypatch):
    """Videos of one byte each: never decoded."""
    few = {3: {'test': [4, 3, 5, 4, 2, 1, 2]}}
    monkeypatch.setattr(DFEWDataset, 'OFFICIAL_COUNTS', few)
    labels = np.repeat(range(1, 8), few[3]['test'])
    for changed in (0, 1):
        rows = list(enumerate(labels[changed:], start=1))
        write_dfew_split(tmp_path, 'test', rows, fold=3)
        for name, _ in rows:
            touch(tmp_path / f'Clip/original/{name}.mp4')
        with logged() as lines:
            load(DFEWDataset, tmp_path, fold=3, split='test', source='videos')
        line = next(line for line in lines if 'DFEWDataset' in line)
        assert f'fold 3, test: {21 - changed} clips (Happy' in line
        assert ('The official counts are met' in line) != bool(changed)
        assert ('Happy 3 instead of 4' in line) == bool(changed)
        assert line.count('instead of') == changed
