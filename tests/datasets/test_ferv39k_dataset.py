"""FERV39k's split files, scenes, scenarios and official counts."""

import pytest

from micacl_mm.datasets import FERV39kDataset
from micacl_mm.datasets.ferv39k_dataset import SCENARIOS, SCENES
from tests.sets import (
    CLASSES,
    logged,
    write_ferv,
    write_ferv_split,
)

CLIPS = [
    f'{scene}/{CLASSES[(3 * number) % 7]}/{number:04d}'
    for number, scene in enumerate(SCENES, start=1)
]


SPLITS = ('train', 'val')


def load(root, **kwargs):
    return FERV39kDataset(str(root), pipeline=[], **kwargs)


def ids(dataset):
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def test_first_row_is_a_clip_not_a_header(tmp_path):
    write_ferv(tmp_path, CLIPS)
    dataset = load(tmp_path)
    assert ids(dataset) == CLIPS
    assert dataset.get_data_info(0)['video_id'] == CLIPS[0]


def test_labels_follow_the_same_order_as_dfew(tmp_path):
    clips = [f'War/{name}/0001' for name in sorted(CLASSES)]
    write_ferv(tmp_path, clips)
    dataset = load(tmp_path)
    assert dataset.metainfo['classes'] == CLASSES
    for idx, name in enumerate(sorted(CLASSES)):
        assert dataset.get_cat_ids(idx) == [CLASSES.index(name)]


def test_split_chooses_the_file(tmp_path):
    write_ferv(tmp_path, CLIPS[:5], split='train')
    write_ferv(tmp_path, CLIPS[5:8], split='test')
    assert ids(load(tmp_path)) == CLIPS[:5]
    assert ids(load(tmp_path, split='test')) == CLIPS[5:8]


@pytest.mark.parametrize('end', ['\n', '\r\n', '\n\n', '\r\n\r\n'])
@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
def test_line_ends_and_marks(tmp_path, end, mark):
    path = write_ferv(tmp_path, CLIPS[:3])
    write_ferv_split(tmp_path, 'train', CLIPS[:3], end=end)
    path.write_bytes(mark + path.read_bytes())
    assert ids(load(tmp_path)) == CLIPS[:3]


@pytest.mark.parametrize('gap', [' ', '\t', ',', ', ', '  '])
def test_separators(tmp_path, gap):
    path = write_ferv(tmp_path, CLIPS[:3])
    path.write_text(path.read_text().replace(' ', gap))
    assert ids(load(tmp_path)) == CLIPS[:3]


def test_case_of_the_emotion_and_backslashes(tmp_path):
    path = write_ferv(tmp_path, ['Action/Sad/0010', 'Action/Happy/0011'])
    path.write_text('Action/Sad/0010 sad\nAction\\Happy\\0011 HAPPY\n')
    dataset = load(tmp_path)
    assert ids(dataset) == ['Action/Sad/0010', 'Action/Happy/0011']
    assert dataset.class_counts == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('Action/Sad/0010 Sadness', ['label must be one of', "'Sadness'"]),
        ('Action/Sad/0010 2', ['label must be one of', "'2'"]),
        ('Action/Sad/0010 Happy', ["emotion of the clip's path", "'Happy'"]),
        ('Action/Sad/0010', ['a row must be']),
        ('Sad/0010 Sad', ['a row must be']),
        ('x/Action/Sad/0010 Sad', ['a row must be']),
        ('video_name label', ['a row must be']),
        ('Action/Sad/0010 Sad 30', ['a row must be']),
        ('/Sad/0010 Sad', ['a row must be']),
        ('/Action/Sad/0010 Sad', ['a row must be']),
        ('../Sad/0010 Sad', ['below data_root', '../Sad/0010']),
        ('Action/Sad/.. Sad', ['below data_root']),
        ('..\\Sad\\0010 Sad', ['below data_root']),
    ],
)
def test_wrong_rows(tmp_path, line, words):
    path = write_ferv(tmp_path, CLIPS[:2])
    path.write_text(path.read_text() + line + '\n')
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    told = [f'FERV39kDataset: {path}, line 3', 'Fix: restore', '4_setups']
    assert all(word in str(error.value) for word in [*words, *told])


def test_clip_listed_twice(tmp_path):
    path = write_ferv(tmp_path, CLIPS[:2])
    write_ferv_split(tmp_path, 'train', [*CLIPS[:2], CLIPS[1]])
    with pytest.raises(ValueError, match='once, got 1 of them') as error:
        load(tmp_path)
    assert f'{path}, line 3' in error.value.problem
    assert '(lines 2, 3)' in error.value.problem


def test_scenarios_hold_the_22_scenes():
    assert len(SCENES) == len(set(SCENES)) == 22
    assert [len(scenes) for scenes in SCENARIOS.values()] == [6, 6, 6, 4]


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_scenario_from_the_file_of_all_scenes(tmp_path, scenario):
    write_ferv(tmp_path, CLIPS)
    expected = [c for c in CLIPS if c.split('/')[0] in SCENARIOS[scenario]]
    assert ids(load(tmp_path, subset=scenario)) == expected
    assert len(expected) == len(SCENARIOS[scenario])


def test_scenarios_partition_all(tmp_path):
    write_ferv(tmp_path, CLIPS)
    parts = [ids(load(tmp_path, subset=name)) for name in SCENARIOS]
    assert sorted(sum(parts, [])) == sorted(CLIPS)


def test_scene_from_all_scenes_or_its_own_file(tmp_path):
    clips = ['War/Sad/0001', 'War/Fear/0002', 'Action/Sad/0001']
    write_ferv(tmp_path, clips)
    assert ids(load(tmp_path, subset='War')) == clips[:2]
    # Its own file is preferred where there is one.
    write_ferv_split(
        tmp_path, 'train', clips[1:2], name='22_scenes/train_War.csv'
    )
    assert ids(load(tmp_path, subset='War')) == clips[1:2]
    assert ids(load(tmp_path, subset='Action')) == clips[2:]
    assert ids(load(tmp_path)) == clips
    # And suffices alone.
    (tmp_path / '4_setups/All_scenes/train_All.csv').unlink()
    assert ids(load(tmp_path, subset='War')) == clips[1:2]


@pytest.mark.parametrize('content', ['', '\n\n', '\ufeff\r\n'])
def test_empty_file_of_a_scene_is_passed_over(tmp_path, content):
    clips = ['War/Sad/0001', 'Action/Sad/0001']
    write_ferv(tmp_path, clips)
    path = write_ferv_split(
        tmp_path, 'train', [], name='22_scenes/train_War.csv'
    )
    path.write_text(content)
    assert ids(load(tmp_path, subset='War')) == clips[:1]
    (tmp_path / '4_setups/All_scenes/train_All.csv').write_text('')
    with pytest.raises(ValueError, match='All.csv must list at least one'):
        load(tmp_path, subset='War')


@pytest.mark.parametrize('row', ['10', '0010', '0010.mp4', '10.MP4'])
@pytest.mark.parametrize('folder', ['10', '0010', '00010'])
def test_clip_numbers_with_and_without_padding(tmp_path, row, folder):
    path = write_ferv(tmp_path, [f'Action/Sad/{folder}'])
    path.write_text(f'Action/Sad/{row} Sad\n')
    assert ids(load(tmp_path)) == ['Action/Sad/0010']
    video = tmp_path / f'0_7_LabelClips/Action/Sad/{folder}.mp4'
    video.parent.mkdir(parents=True)
    video.write_bytes(b'x')
    assert ids(load(tmp_path, source='videos')) == ['Action/Sad/0010']


def test_action_is_not_a_prefix_match(tmp_path):
    clips = ['War/Sad/0001', 'Warfare/Sad/0001']
    write_ferv(tmp_path, clips)
    assert ids(load(tmp_path, subset='War')) == clips[:1]


def test_subset_without_clips(tmp_path):
    path = write_ferv(tmp_path, ['War/Sad/0001'])
    with pytest.raises(ValueError, match="subset 'Speech'") as error:
        load(tmp_path, subset='Speech')
    assert str(path) in error.value.problem
    assert '--subset all' in error.value.cure


@pytest.mark.parametrize('subset', ['All', 'war', 'Daily', '', None])
def test_unknown_subset(tmp_path, subset):
    with pytest.raises(ValueError, match='subset must be one of') as error:
        load(tmp_path, subset=subset)
    for name in ("'Anomaly Issues'", "'Talkshow'"):
        assert name in error.value.problem


def test_missing_split_file_shows_the_expected_tree(tmp_path):
    write_ferv(tmp_path, CLIPS[:2])
    with pytest.raises(FileNotFoundError, match='no split file') as error:
        load(tmp_path, split='test')
    assert '4_setups/All_scenes/test_All.csv' in error.value.problem
    assert '2_ClipsforFaceCrop/Action/Sad/0010' in error.value.cure


@pytest.mark.parametrize('change', [str.lower, str.upper, str.swapcase])
def test_the_slice_does_not_depend_on_the_case_of_the_file(tmp_path, change):
    clips = [
        f'{s}/{e}/{n:04d}' for s in SCENES for e in CLASSES for n in (1, 2)
    ]
    write_ferv(tmp_path, clips)
    before = [ids(load(tmp_path, split=s, val_ratio=0.25)) for s in SPLITS]
    path = write_ferv_split(tmp_path, 'train', clips)
    path.write_text(change(path.read_text()))
    after = [ids(load(tmp_path, split=s, val_ratio=0.25)) for s in SPLITS]
    assert after == before and len(before[1]) == len(clips) // 4


@pytest.mark.parametrize(
    'row',
    [
        'War/Sad/0001 Sad',
        '"War/Sad/0001" "Sad"',
        './War/Sad/0001.MP4 Sad',
        '"War/Sad/1",Sad',
        'War\\Sad\\0001.avi,sad',
    ],
)
@pytest.mark.parametrize('header', ['', 'video_name label\n'])
def test_forms_of_a_row(tmp_path, row, header):
    path = write_ferv(tmp_path, ['War/Sad/0001'])
    path.write_text(header + row)
    assert ids(load(tmp_path)) == ['War/Sad/0001']


def test_official_counts_add_up():
    counts = FERV39kDataset.OFFICIAL_COUNTS['all']
    assert sum(counts['train']) == 31088
    assert sum(counts['test']) == 7847
    assert sum(counts['train']) + sum(counts['test']) == 38935


def test_log_compares_all_but_not_a_scene(tmp_path):
    write_ferv(tmp_path, CLIPS)
    with logged() as lines:
        load(tmp_path)
        load(tmp_path, subset='War')
    whole, scene = [line for line in lines if 'FERV39kDataset' in line]
    assert 'subset all, train: 22 clips' in whole
    assert 'instead of 31' not in whole and 'instead of 5854' in whole
    assert 'subset War, train: 1 clips' in scene
    assert 'official' not in scene
