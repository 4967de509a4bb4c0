"""Every layout of both sets that is known from the wild is found."""

import re
from pathlib import Path

import numpy as np
import pytest

import micacl_mm  # noqa: F401
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.folders import list_frames, natural_key
from micacl_mm.datasets.layouts import _without_parts

from .tree import (
    frame_number,
    logged,
    write_dfew,
    write_dfew_split,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

ROWS = [(1, 1), (12, 7), (1601, 3)]
IDS = ['00001', '00012', '01601']
SCENES = ['Action/Sad/0010', 'Action/Happy/0010', 'War/Fear/0002']
FRAMES = [
    dict(type='SampleFrames', clip_len=2, test_mode=True),
    dict(type='RawFrameDecode'),
]
VIDEOS = [
    dict(type='DecordInit'),
    dict(type='SampleInstances', num_frames=6, instance_len=3, test_mode=True),
    dict(type='DecordDecode'),
]


def ids(dataset):
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def numbers(dataset, idx=0):
    return [int(frame_number(image)) for image in dataset[idx]['imgs']]


@pytest.mark.parametrize(
    'clips',
    [
        'Clip/clip_224x224',
        'clip_224x224',
        'Clip/clip_224x224/clip_224x224',
        'clip_224x224/clip_224x224',
        'jpg_256',
        'Clip/jpg_256',
        'Clip/clip_224x224_16f',
        'clip_224x224_16f/clip_224x224_16f',
        'DFEW-part2/Clip/clip_224x224',
        'Clip',
    ],
)
def test_dfew_frame_folders(tmp_path, clips):
    write_dfew(tmp_path, ROWS, clips=clips)
    dataset = DFEWDataset(str(tmp_path), pipeline=FRAMES)
    assert ids(dataset) == IDS
    for idx in range(3):
        assert numbers(dataset, idx) == [0, 1]
    assert clips in dataset.layout


@pytest.mark.parametrize(
    'pattern',
    [
        'Clip/clip_224x224/clip_224x224_part_{}',
        'Clip/clip_224x224_part_{}',
        'Clip/clip_224x224/part_{}',
    ],
)
def test_dfew_part_folders_are_joined(tmp_path, pattern):
    for part, row in enumerate(ROWS):
        write_dfew(tmp_path, [row], clips=pattern.format(part))
    write_dfew_split(tmp_path, 'train', ROWS)
    dataset = DFEWDataset(str(tmp_path), pipeline=FRAMES)
    assert ids(dataset) == IDS
    assert '3 clips' in dataset.layout


@pytest.mark.parametrize('annotation', ['.', 'DFEW', 'DFEW-part2'])
def test_dfew_annotation_in_its_own_folder(tmp_path, annotation):
    write_dfew(tmp_path / 'DFEW', ROWS)
    (tmp_path / 'DFEW/EmoLabel_DataSplit').rename(tmp_path / 'moved')
    (tmp_path / annotation).mkdir(exist_ok=True)
    target = tmp_path / annotation / 'EmoLabel_DataSplit'
    (tmp_path / 'moved').rename(target)
    assert ids(DFEWDataset(str(tmp_path), pipeline=[])) == IDS


def test_dfew_prefers_full_over_renamed_over_16f(tmp_path):
    copies = [
        ('Clip/clip_224x224_16f', '16 face frames'),
        ('Clip/jpg_256', 'renamed'),
        ('Clip/clip_224x224', 'all face frames'),
    ]
    for clips, chosen in copies:
        # Each is better than the ones before, which are still there.
        write_dfew(tmp_path, ROWS, clips=clips)
        with logged() as lines:
            dataset = DFEWDataset(str(tmp_path), pipeline=[])
        used, _, aside = dataset.layout.partition('left aside')
        assert clips in used and chosen in used
        assert f'{clips} (' not in aside
        assert any(dataset.layout in line for line in lines)
        folder = dataset.get_data_info(0)['frame_dir']
        assert Path(folder) == tmp_path / clips / '00001'
    assert 'jpg_256' in aside and '16f' in aside


def test_clip_that_is_there_twice_is_taken_from_the_shallower(tmp_path):
    clips = 'Clip/clip_224x224'
    write_dfew(tmp_path, ROWS[:2], clips=clips)
    write_dfew(tmp_path, ROWS, clips=f'{clips}/clip_224x224')
    dataset = DFEWDataset(str(tmp_path), pipeline=[])
    assert ids(dataset) == IDS
    inner = [
        'clip_224x224/clip_224x224/' in info['frame_dir'] for info in dataset
    ]
    assert inner == [False, False, True]


def test_dfew_beside_another_set_below_one_root(tmp_path):
    write_dfew(tmp_path / 'DFEW', ROWS, clips='clip_224x224_16f')
    write_ferv(tmp_path / 'FERV39k', SCENES)
    for number in range(5):
        write_frames(tmp_path / 'other' / f'{number}', ['1.jpg'])
    dfew = DFEWDataset(str(tmp_path), pipeline=FRAMES)
    assert ids(dfew) == IDS and numbers(dfew) == [0, 1]
    ferv = FERV39kDataset(str(tmp_path), pipeline=FRAMES)
    assert ids(ferv) == SCENES and numbers(ferv) == [0, 1]


def test_dfew_linked_clip_folder(tmp_path):
    write_dfew(tmp_path / 'disk', ROWS)
    write_dfew_split(tmp_path / 'set', 'train', ROWS)
    (tmp_path / 'set/Clip').symlink_to(tmp_path / 'disk/Clip')
    assert ids(DFEWDataset(str(tmp_path / 'set'), pipeline=[])) == IDS


def test_links_in_a_circle_end(tmp_path):
    write_dfew(tmp_path, ROWS)
    (tmp_path / 'Clip/again').symlink_to(tmp_path)
    assert ids(DFEWDataset(str(tmp_path), pipeline=[])) == IDS


@pytest.mark.parametrize(
    'pattern',
    [
        'Clip/original/{name}.mp4',
        'Clip/original/part_{part}/{name}.mp4',
        'original/{name}.mp4',
        'DFEW/original/original/{name}.mp4',
        'Clip/original/{part:02d}/{name}.mp4',
        'Clip/original/{part}/{name}.mp4',
    ],
)
def test_dfew_videos(tmp_path, pattern):
    for length, (name, _) in enumerate(ROWS, start=6):
        part = (name - 1) // 1600 + 1
        path = pattern.format(name=name, part=part)
        write_video(tmp_path / path, length)
    write_dfew_split(tmp_path, 'train', ROWS)
    dataset = DFEWDataset(str(tmp_path), pipeline=VIDEOS, source='videos')
    assert ids(dataset) == IDS
    assert 'original videos' in dataset.layout
    for idx in range(3):
        # 6, 7 and 8 frames in 6 segments: the file itself is counted.
        sample = dataset[idx]
        assert sample['total_frames'] == 6 + idx
        expected = [0, 1, 2, 3, 4, 5] if idx == 0 else sample['frame_inds']
        assert numbers(dataset, idx) == list(expected)


def test_clip_root_wins_over_the_search(tmp_path):
    write_dfew(tmp_path, ROWS)
    write_dfew(tmp_path, ROWS, clips='Clip/clip_224x224_16f')
    write_dfew(tmp_path / 'far', ROWS, clips='faces')
    for clip_root, path in [
        ('Clip/clip_224x224_16f', tmp_path / 'Clip/clip_224x224_16f'),
        (str(tmp_path / 'far/faces'), tmp_path / 'far/faces'),
    ]:
        dataset = DFEWDataset(
            str(tmp_path), pipeline=FRAMES, clip_root=clip_root
        )
        assert numbers(dataset) == [0, 1]
        folder = dataset.get_data_info(0)['frame_dir']
        assert Path(folder) == path / '00001'
    with pytest.raises(FileNotFoundError, match='nowhere'):
        DFEWDataset(str(tmp_path), pipeline=[], clip_root='nowhere')


def test_clip_root_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))
    write_dfew(tmp_path / 'far', ROWS, clips='faces')
    write_dfew_split(tmp_path / 'set', 'train', ROWS)
    dataset = DFEWDataset('~/set', pipeline=[], clip_root='~/far/faces')
    assert ids(dataset) == IDS
    assert str(tmp_path / 'far/faces') in dataset.layout


@pytest.mark.parametrize(
    ('clips', 'words'),
    [
        ('Clip/clip_224x224_16f', '(16 face frames a clip'),
        ('Clip/clip_224x224', '(all face frames'),
        ('Clip/jpg_256', '(face frames in a renamed folder'),
        ('Clip/flow', '(frames in a folder of another name'),
        # Whoever names this one has looked, and wants it.
        ('Clip/original', '(frames in a folder of another name'),
    ],
)
def test_log_says_what_clip_root_points_at(tmp_path, clips, words):
    write_dfew(tmp_path / 'DFEW', ROWS, clips=clips)
    root = str(tmp_path / 'DFEW')
    dataset = DFEWDataset(root, pipeline=[], clip_root=clips)
    assert ids(dataset) == IDS and words in dataset.layout


def test_file_or_link_in_the_place_of_a_folder(tmp_path):
    write_dfew(tmp_path, ROWS)
    (tmp_path / 'Clip/loop').symlink_to(tmp_path / 'Clip/loop')
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'EmoLabel_DataSplit/loop').symlink_to('loop')
    (tmp_path / 'Clip/clip_224x224/00002').symlink_to('00002')
    write_frames(tmp_path / 'Clip/clip_224x224/00001', ['1.jpg'])
    (tmp_path / 'Clip/clip_224x224/00001/2.jpg').mkdir()
    assert ids(DFEWDataset(str(tmp_path), pipeline=[])) == IDS
    write_ferv(tmp_path, SCENES)
    for name in ('War/Happy', 'War/loop', 'War/Fear/0003'):
        path = tmp_path / '2_ClipsforFaceCrop' / name
        path.symlink_to(path.name)
    assert ids(FERV39kDataset(str(tmp_path), pipeline=[])) == SCENES
    (tmp_path / 'file').write_bytes(b'x')
    for name in ('file', 'loop'):
        with pytest.raises(FileNotFoundError, match='or is no folder') as err:
            DFEWDataset(str(tmp_path), pipeline=[], clip_root=name)
        assert '--clip-root' in str(err.value) and name in str(err.value)


MANY = [(number, 1 + number % 7) for number in range(1, 41)]


def write_others(root, rows, clips, suffix='.npy'):
    for name, _ in rows:
        folder = root / clips / f'{name:05d}'
        folder.mkdir(parents=True)
        (folder / f'1{suffix}').write_bytes(b'x')


@pytest.mark.parametrize('stray', ['landmarks', 'jpg_landmarks'])
def test_folders_without_images_are_no_copy(tmp_path, stray):
    right = 'Clip/clip_224x224_16f'
    write_dfew(tmp_path, MANY, clips=right)
    write_others(tmp_path, MANY, f'Clip/{stray}')
    (tmp_path / 'runs/0').mkdir(parents=True)
    dataset = DFEWDataset(str(tmp_path), pipeline=FRAMES)
    assert numbers(dataset) == [0, 1]
    used, _, aside = dataset.layout.partition('left aside')
    assert right in used and '40 of 40 clips' in used
    assert f'Clip/{stray} (no image in them' in aside and 'runs' in aside


def test_whole_scenes_are_never_taken_for_faces(tmp_path):
    scenes = 'Clip/original'
    write_dfew(tmp_path, MANY, clips=scenes)
    with pytest.raises(FileNotFoundError, match='no frames of clips') as error:
        DFEWDataset(str(tmp_path), pipeline=[])
    assert f'left aside: {scenes} (not of faces, 40 of 40' in str(error.value)
    write_dfew(tmp_path, MANY[:30], clips='Clip/clip_224x224_16f')
    write_dfew_split(tmp_path, 'train', MANY)
    dataset = DFEWDataset(str(tmp_path), pipeline=[], missing='drop')
    used, _, aside = dataset.layout.partition('left aside')
    assert '16 face frames' in used and scenes in aside
    assert len(dataset) == 30


def test_unknown_frames_do_not_win_over_faces(tmp_path):
    write_dfew(tmp_path, MANY, clips='Clip/flow')
    write_dfew(tmp_path, MANY[:30], clips='Clip/clip_224x224_16f')
    write_dfew_split(tmp_path, 'train', MANY)
    with pytest.raises(FileNotFoundError, match='10 of 40') as error:
        DFEWDataset(str(tmp_path), pipeline=[])
    assert 'left aside: Clip/flow' in str(error.value)


@pytest.mark.parametrize(
    ('number', 'chosen'), [(1, 'jpg_256'), (37, 'jpg_256'), (38, '224x224')]
)
def test_the_name_counts_only_among_complete_copies(tmp_path, number, chosen):
    write_dfew(tmp_path, MANY, clips='Clip/jpg_256')
    write_dfew(tmp_path, MANY[:number], clips='Clip/clip_224x224')
    # Clips beyond the split do not make a copy more complete.
    more = [(name + 100, 1) for name, _ in MANY]
    write_dfew(tmp_path, more, clips='Clip/clip_224x224')
    write_dfew_split(tmp_path, 'train', MANY)
    dataset = DFEWDataset(str(tmp_path), pipeline=[], missing='drop')
    used, _, aside = dataset.layout.partition('left aside')
    assert chosen in used and chosen not in aside
    assert f'{number} of 40 clips' in dataset.layout
    # One copy for train and val.
    for split in ('train', 'val'):
        part = DFEWDataset(
            str(tmp_path),
            pipeline=[],
            split=split,
            val_ratio=0.2,
            missing='drop',
        )
        assert part.layout == dataset.layout


def test_stray_numbers_beside_the_split_do_not_hide_the_clips(tmp_path):
    write_dfew(tmp_path / 'b', ROWS)
    write_dfew_split(tmp_path / 'a', 'train', ROWS)
    write_frames(tmp_path / 'a/runs/0', ['1.jpg'])
    assert ids(DFEWDataset(str(tmp_path), pipeline=[])) == IDS


@pytest.mark.parametrize(
    'moves',
    [
        [('EmoLabel_DataSplit', 'EmoLabel_DataSplit/EmoLabel_DataSplit')],
        [('EmoLabel_DataSplit', 'DFEW/emolabel_datasplit')],
        [
            (
                'EmoLabel_DataSplit/train(single-labeled)',
                'EmoLabel_DataSplit/Train(single-labeled)',
            )
        ],
        [
            (
                'EmoLabel_DataSplit/train(single-labeled)/set_1.csv',
                'EmoLabel_DataSplit/TRAIN(Single-Labeled)/Set_1.CSV',
            )
        ],
    ],
)
def test_dfew_split_folders(tmp_path, moves):
    write_dfew(tmp_path, ROWS)
    move(tmp_path, moves)
    dataset = DFEWDataset(str(tmp_path), pipeline=[])
    assert ids(dataset) == IDS and str(tmp_path) in dataset.layout


@pytest.mark.parametrize(
    'moves',
    [
        [('4_setups', '4_setups/4_setups')],
        [('4_setups/All_scenes', '4_setups/all_scenes')],
        [
            (
                '4_setups/All_scenes/train_All.csv',
                '4_setups/All_scenes/Train_all.csv',
            )
        ],
    ],
)
def test_ferv_split_folders(tmp_path, moves):
    write_ferv(tmp_path, SCENES)
    move(tmp_path, moves)
    assert ids(FERV39kDataset(str(tmp_path), pipeline=[])) == SCENES
    part = FERV39kDataset(str(tmp_path), pipeline=[], subset='War')
    assert ids(part) == SCENES[2:]


def move(root, moves):
    for old, new in moves:
        (root / old).rename(root / 'moved')
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / 'moved').rename(root / new)


def test_the_split_folder_that_holds_the_file_is_taken(tmp_path):
    write_dfew(tmp_path / 'DFEW', ROWS)
    (tmp_path / 'EmoLabel_DataSplit').mkdir()
    assert ids(DFEWDataset(str(tmp_path), pipeline=[])) == IDS


@pytest.mark.parametrize(
    'base',
    [
        '2_ClipsforFaceCrop',
        'FERV39k/2_ClipsforFaceCrop',
        '2_ClipsforFaceCrop/2_ClipsforFaceCrop',
        '2_ClipsforFaceCrop-002/2_ClipsforFaceCrop',
        'FERV39k/2_ClipsforFaceCrop-20240102T030405Z-002/2_ClipsforFaceCrop',
    ],
)
def test_ferv_frame_folders(tmp_path, base):
    write_ferv(tmp_path, SCENES, base=base)
    # Videos must not be taken for frames, nor the reverse.
    write_video(tmp_path / '0_7_LabelClips/Action/Sad/0010.mp4', 3)
    dataset = FERV39kDataset(str(tmp_path), pipeline=FRAMES)
    assert ids(dataset) == SCENES
    for idx, clip in enumerate(SCENES):
        info = dataset.get_data_info(idx)
        assert Path(info['frame_dir']) == tmp_path / base / clip
        assert numbers(dataset, idx) == [0, 1]
    assert base in dataset.layout and 'face crops' in dataset.layout


def test_ferv_archive_parts_are_joined(tmp_path):
    for part, clip in enumerate(SCENES, start=1):
        base = f'2_ClipsforFaceCrop-00{part}/2_ClipsforFaceCrop'
        write_ferv(tmp_path, [clip], base=base)
    write_ferv_split(tmp_path, 'train', SCENES)
    assert ids(FERV39kDataset(str(tmp_path), pipeline=[])) == SCENES


def test_ferv_face_crops_before_other_frames(tmp_path):
    write_ferv(tmp_path, SCENES, base='1_Frames')
    dataset = FERV39kDataset(str(tmp_path), pipeline=[])
    assert '1_Frames' in dataset.layout
    write_ferv(tmp_path, SCENES)
    dataset = FERV39kDataset(str(tmp_path), pipeline=[])
    assert dataset.layout.startswith('2_ClipsforFaceCrop')


def test_ferv_whole_set_below_one_more_folder(tmp_path):
    write_ferv(tmp_path / 'FERV39k', SCENES)
    assert ids(FERV39kDataset(str(tmp_path), pipeline=[])) == SCENES


@pytest.mark.parametrize(
    'base', ['0_7_LabelClips', 'FERV39k/0_7_LabelClips/0_7_LabelClips']
)
def test_ferv_videos(tmp_path, base):
    for clip in SCENES:
        write_video(tmp_path / base / f'{clip}.mp4', 6)
    write_ferv(tmp_path, SCENES)
    dataset = FERV39kDataset(str(tmp_path), pipeline=VIDEOS, source='videos')
    assert ids(dataset) == SCENES
    assert 'labelled clips' in dataset.layout
    for idx, clip in enumerate(SCENES):
        info = dataset.get_data_info(idx)
        assert Path(info['filename']) == tmp_path / base / f'{clip}.mp4'
        assert numbers(dataset, idx) == [0, 1, 2, 3, 4, 5]


def test_frames_sort_naturally_not_as_text():
    names = ['10.jpg', '1.jpg', '2.jpg', '11.jpg']
    assert sorted(names) != sorted(names, key=natural_key)
    assert sorted(names, key=natural_key) == [
        '1.jpg',
        '2.jpg',
        '10.jpg',
        '11.jpg',
    ]
    clip = [f'00012_{k}.jpg' for k in range(1, 17)]
    shuffled = list(np.random.default_rng(0).permutation(clip))
    assert sorted(shuffled, key=natural_key) == clip


def test_names_of_different_kinds_can_be_compared():
    names = ['a.jpg', '1.jpg', '1a.jpg', 'a1.jpg', '01.jpg', 'A.jpg']
    expected = ['01.jpg', '1.jpg', '1a.jpg', 'a1.jpg', 'A.jpg', 'a.jpg']
    for _ in names:
        names = [*names[1:], names[0]]
        assert sorted(names, key=natural_key) == expected


def test_only_visible_images_count(tmp_path):
    names = ['2.JPG', '10.jpeg', '1.png', '3.BMP']
    write_frames(tmp_path, names)
    for other in ['Thumbs.db', '.4.jpg', '._2.JPG', 'notes.txt', '5.jpg.part']:
        (tmp_path / other).write_bytes(b'x')
    assert list_frames(tmp_path) == ['1.png', '2.JPG', '3.BMP', '10.jpeg']


@pytest.mark.parametrize(
    ('path', 'whole'),
    [
        ('Clip/clip_224x224/clip_224x224_part_3', 'Clip/clip_224x224'),
        ('a-20240102T030405Z-012/a', 'a'),
        ('a-002', 'a'),
        # Two sizes of the same frames are no parts of one copy.
        ('Clip/faces-112', 'Clip/faces-112'),
    ],
)
def test_parts_of_one_copy(path, whole):
    assert _without_parts(path) == whole


@pytest.mark.parametrize('name', ['jpg_flow', 'heatmaps_face', 'face_masks'])
def test_other_pictures_of_faces_are_not_preferred(name):
    names = [
        text
        for text, pattern in DFEWDataset.CLIP_FOLDERS['frames']
        if re.search(pattern, f'Clip/{name}', re.IGNORECASE)
    ]
    assert names == ['frames in a folder of another name']
