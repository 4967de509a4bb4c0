"""Every layout of both sets that is known from the wild is found."""

from pathlib import Path

import pytest

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.layouts import own_frames
from micacl_mm.utils.folders import natural_key
from tests.sets import (
    frame_number,
    logged,
    touch,
    write_dfew,
    write_dfew_split,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

ROWS = [(1, 1), (12, 7), (1601, 3)]
MANY = [(number, 1 + number % 7) for number in range(1, 41)]
IDS = ['00001', '00012', '01601']
SCENES = ['Action/Sad/0010', 'Action/Happy/0010', 'War/Fear/0002']
FACES, FACES_16F = 'Clip/clip_224x224', 'Clip/clip_224x224_16f'
SAMPLE = dict(type='SampleInstances', num_frames=6, instance_len=3)
SAMPLE['test_mode'] = True
FRAMES = [SAMPLE, dict(type='RawFrameDecode')]
VIDEOS = [dict(type='DecordInit'), SAMPLE, dict(type='DecordDecode')]
#: What lies beside faces and is none.
OTHERS = (
    *('clip_224x224_flow', 'optical_flow/clip_224x224', 'face_landmarks68'),
    *('keypoints_256', 'heatmaps_face', 'clip_224x224_mask', 'depth_jpg'),
    *('original_jpg', 'crop_scenes', 'openpose_face', 'clip_224x224_eyes'),
    *('TVL1/clip_224x224', 'clip_224x224_of', 'faces_gaze', 'face_canny'),
)
each = pytest.mark.parametrize


def load(root, pipeline=(), kind=DFEWDataset, **kwargs):
    return kind(str(root), pipeline=list(pipeline), **kwargs)


def load_ferv(root, pipeline=(), **kwargs):
    return load(root, pipeline, FERV39kDataset, **kwargs)


def ids(dataset):
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def numbers(dataset, idx=0):
    return [frame_number(image) for image in dataset[idx]['imgs']]


FERV = '2_ClipsforFaceCrop'
#: Places of a clip, beside the videos or the crops of another one.
PLACES = {
    (DFEWDataset, 'frames'): [
        *(FACES, 'clip_224x224', 'Clip', 'jpg_256', 'Clip/jpg_256'),
        *(f'{FACES}/clip_224x224', 'clip_224x224/clip_224x224', FACES_16F),
        'clip_224x224_16f/clip_224x224_16f',
        'DFEW-part2/Clip/clip_224x224',
        f'{FACES}/clip_224x224_part_{{part}}',
        *(f'{FACES}_part_{{part}}', 'Clip/part_{part}'),
    ],
    (DFEWDataset, 'videos'): [
        *('Clip/original', 'Clip/original/part_{part}'),
        *('DFEW/original/original', 'Clip/original/{part:02d}'),
    ],
    (FERV39kDataset, 'frames'): [
        *(FERV, '2_ClipforFaceCrop', '1_Frames', f'FERV39k/{FERV}'),
        f'{FERV}/{FERV}',
        f'FERV39k/{FERV}-20240102T030405Z-002/{FERV}',
    ],
    (FERV39kDataset, 'videos'): [
        *('0_7_LabelClips', 'FERV39k/0_7_LabelClips/0_7_LabelClips'),
    ],
}


@each(
    ('kind', 'source', 'place'),
    [(*key, place) for key, places in PLACES.items() for place in places],
)
def test_places_seen_in_the_wild(tmp_path, kind, source, place):
    names, dfew = (IDS, True) if kind is DFEWDataset else (SCENES, False)
    paths = []
    for part, name in enumerate(names):
        folder = tmp_path / place.format(part=part)
        # Of another length each: the file itself is counted.
        if source == 'frames':
            paths.append(folder / name)
            write_frames(paths[-1], [f'{k}.png' for k in range(6 + part)])
        else:
            file = f'{int(name)}.MP4' if dfew else f'{name}.avi'
            paths.append(folder / file)
            write_video(paths[-1], 6 + part)
    other = ('Clip/original/2.mp4', '0_7_LabelClips/War/Sad/0003.mp4')
    other = other if source == 'frames' else (f'{FACES}/2/1', f'{FERV}/a/1')
    touch(tmp_path / other[not dfew])
    write_dfew_split(tmp_path, 'train', ROWS)
    write_ferv_split(tmp_path, 'train', SCENES)
    dataset = load(
        tmp_path, FRAMES if source == 'frames' else VIDEOS, kind, source=source
    )
    assert ids(dataset) == names and '3 of 3 clips' in dataset.layout
    for idx, path in enumerate(paths):
        sample = dataset[idx]
        assert str(path) in (sample.get('filename'), sample.get('frame_dir'))
        assert sample['total_frames'] == 6 + idx
        assert numbers(dataset, idx) == sample['frame_inds'].tolist()


# ---- split files


def move(root, old, new):
    (root / old).rename(root / 'moved')
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / 'moved').rename(root / new)


SPLIT = 'EmoLabel_DataSplit'
TRAIN, ALL = f'{SPLIT}/train(single-labeled)', '4_setups/All_scenes'


@each(
    ('old', 'new'),
    [
        (SPLIT, f'{SPLIT}/{SPLIT}'),
        (SPLIT, 'DFEW/emolabel_datasplit'),
        (SPLIT, f'{SPLIT} (1)'),
        (SPLIT, f'{SPLIT}-20240102T030405Z-001'),
        (f'{TRAIN}/set_1.csv', f'{SPLIT}/TRAIN(Single-Labeled)/Set_1.CSV'),
        (TRAIN, f'{SPLIT}/train'),
        (TRAIN, f'{SPLIT}/train(single_labeled)'),
        (TRAIN, f'{SPLIT}/train_single_labelled'),
        (TRAIN, f'{SPLIT}/train(single_labeled)/train(single-labeled)'),
        ('4_setups', '4_setups/4_setups'),
        ('4_setups/All_scenes', '4_setups/all_scenes'),
        (f'{ALL}/train_All.csv', f'{ALL}/Train_all.csv'),
    ],
)
def test_split_folders(tmp_path, old, new):
    write_dfew(tmp_path, ROWS)
    write_dfew_split(tmp_path, 'test', [(5, 5)])
    write_ferv(tmp_path, SCENES)
    move(tmp_path, old, new)
    assert ids(load(tmp_path)) == IDS
    assert ids(load_ferv(tmp_path)) == SCENES
    assert ids(load_ferv(tmp_path, subset='War')) == SCENES[2:]


@each('new', ['training/set_1.csv', 'train_1.txt'])
def test_split_files_of_other_names_are_named(tmp_path, new):
    write_dfew(tmp_path, ROWS)
    move(tmp_path, f'{TRAIN}/set_1.csv', f'{SPLIT}/{new}')
    with pytest.raises(FileNotFoundError, match=f', but {SPLIT}/{new}. Fix'):
        load(tmp_path)


@each('place', ['.', 'DFEW', 'DFEW-part2'])
def test_split_files_beside_the_clips_or_elsewhere(tmp_path, place):
    write_dfew(tmp_path / 'DFEW', ROWS)
    move(tmp_path, f'DFEW/{SPLIT}', f'{place}/{SPLIT}')
    (tmp_path / 'empty' / SPLIT).mkdir(parents=True)
    assert ids(load(tmp_path)) == IDS


# ---- several copies


def test_the_names_of_the_release_come_first(tmp_path):
    copies = [
        ('Clip/jpg_256', 'renamed'),
        (FACES_16F, '16 face frames'),
        (FACES, 'all face frames'),
    ]
    for clips, chosen in copies:
        # Each is better than the ones before, which are still there.
        write_dfew(tmp_path, ROWS, clips=clips)
        with logged() as lines:
            dataset = load(tmp_path)
        used, _, others = dataset.layout.partition('not used')
        assert clips in used and chosen in used and dataset.copy == clips
        assert f'{clips} (' not in others
        assert any(dataset.layout in line for line in lines)
        folder = dataset.get_data_info(0)['frame_dir']
        assert Path(folder) == tmp_path / clips / '00001'
    assert 'jpg_256' in others and '16f' in others


@each('other', OTHERS)
def test_what_is_no_face_is_never_taken(tmp_path, other):
    other, rows = f'Clip/{other}', MANY[:8]
    write_dfew(tmp_path, rows, clips=other)
    with pytest.raises(FileNotFoundError, match='no frames of clips') as error:
        load(tmp_path)
    assert f'{other} (not of faces, 8 of 8' in str(error.value)
    # Not even where a few of the faces are missing.
    write_dfew(tmp_path, rows[:6], clips=FACES_16F)
    write_dfew_split(tmp_path, 'train', rows)
    with pytest.raises(FileNotFoundError, match='2 of 8'):
        load(tmp_path)
    assert load(tmp_path, missing='drop').copy == FACES_16F
    # Whoever names it has looked, and wants it.
    assert len(load(tmp_path, clip_root=other)) == 8


@each('other', ['3_ClipsforScenImages', '0_7_LabelClips', '5_Flow'])
def test_whole_scenes_of_ferv(tmp_path, other):
    clips = [f'War/Sad/{number:04d}' for number in range(8)]
    write_ferv(tmp_path, clips, base=other)
    with pytest.raises(FileNotFoundError, match='no frames of clips'):
        load_ferv(tmp_path)
    write_ferv(tmp_path, clips[:7])
    write_ferv_split(tmp_path, 'train', clips)
    dataset = load_ferv(tmp_path, missing='drop')
    assert dataset.copy == '2_ClipsforFaceCrop' and len(dataset) == 7


@each('name', ['workflow_data', 'unmasked', 'Emotion'])
def test_words_within_others_do_not_count(tmp_path, name):
    write_dfew(tmp_path, ROWS, clips=f'{name}/{FACES}')
    assert ids(load(tmp_path)) == IDS


def test_a_folder_of_an_unknown_name_does_not_win_over_faces(tmp_path):
    write_dfew(tmp_path, MANY, clips='Clip/stuff')
    for name, _ in MANY:
        touch(tmp_path / f'Clip/faces/{name:05d}/1.npy')
    dataset = load(tmp_path)
    assert dataset.copy == 'Clip/stuff'
    assert 'not used: Clip/faces (no image in them' in dataset.layout
    write_dfew(tmp_path, MANY[:30], clips=FACES_16F)
    write_dfew_split(tmp_path, 'train', MANY)
    assert load(tmp_path, missing='drop').copy == FACES_16F


def test_the_name_counts_only_among_complete_copies(tmp_path):
    write_dfew(tmp_path, MANY, clips='Clip/jpg_256')
    # Clips beyond the split do not make a copy more complete.
    write_dfew(tmp_path, [(name + 100, 1) for name, _ in MANY], clips=FACES)
    for number, chosen in ((1, 'jpg_256'), (37, 'jpg_256'), (38, FACES[5:])):
        write_dfew(tmp_path, MANY[:number], clips=FACES)
        write_dfew_split(tmp_path, 'train', MANY)
        dataset = load(tmp_path, missing='drop')
        assert dataset.copy == f'Clip/{chosen}'
        assert f'{number} of 40 clips' in dataset.layout


@each('complete', ['train', 'test'])
def test_all_splits_and_folds_take_one_copy(tmp_path, complete):
    splits = {'train': MANY[:32], 'test': MANY[32:]}
    write_dfew(tmp_path, MANY, clips=FACES_16F)
    write_dfew(tmp_path, splits[complete], clips=FACES)
    for fold in (1, 2):
        for split, rows in splits.items():
            write_dfew_split(tmp_path, split, rows, fold)
        splits = {'train': MANY[8:], 'test': MANY[:8]}
    copies = {
        load(tmp_path, split=split, fold=fold, val_ratio=0.2).copy
        for split in ('train', 'val', 'test')
        for fold in (1, 2)
    }
    assert copies == {FACES_16F}


def test_both_sets_below_one_root(tmp_path):
    write_dfew(tmp_path / 'DFEW', ROWS, clips='clip_224x224_16f')
    write_ferv(tmp_path / 'FERV39k', SCENES)
    for number in range(5):
        write_frames(tmp_path / 'other' / f'{number}', ['1.jpg'])
    for dataset, names in (
        (load(tmp_path, FRAMES), IDS),
        (load_ferv(tmp_path, FRAMES), SCENES),
    ):
        assert ids(dataset) == names and {*numbers(dataset)} == {0, 1}


def test_clip_root_wins_over_the_search(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))
    write_dfew(tmp_path, ROWS)
    write_dfew(tmp_path, ROWS, clips=FACES_16F)
    write_dfew(tmp_path / 'far', ROWS, clips='faces')
    for clip_root, path in [
        (FACES_16F, tmp_path / FACES_16F),
        (str(tmp_path / 'far/faces'), tmp_path / 'far/faces'),
        ('~/far/faces', tmp_path / 'far/faces'),
    ]:
        dataset = load('~', FRAMES, clip_root=clip_root)
        folder = dataset.get_data_info(0)['frame_dir']
        assert Path(folder) == path / '00001' and {*numbers(dataset)} == {0, 1}
    touch(tmp_path / 'file')
    (tmp_path / 'loop').symlink_to('loop')
    for name in ('nowhere', 'file', 'loop'):
        with pytest.raises(FileNotFoundError, match=f'{name} does not') as err:
            load(tmp_path, clip_root=name)
        assert '--clip-root' in err.value.cure


# ---- frames


OWN = [f'00007_{number:05d}.jpg' for number in (2, 3, 9, 15)]
FOREIGN = [
    (OWN, ['00009_00004.jpg']),
    (OWN, [f'00009_{n:05d}.jpg' for n in range(9)]),
    (OWN, [f'{number}.jpg' for number in range(1, 17)]),
    (OWN, ['thumb.jpg', 'Thumbs.png']),
    (['1.jpg', '2.jpg'], ['cover.jpg']),
    (OWN, [name.replace('jpg', 'png') for name in OWN[:3]]),
    ([f'img_{n}.jpg' for n in range(5)], ['mask_1.jpg', 'mask_2.jpg']),
    (OWN, []),
    (['1.jpg', '2.png', '3.jpg'], []),
    (['face.jpg'], []),
    (
        [f'{number:05d}.jpg' for number in range(2, 40, 2)],
        [f'{number}.jpg' for number in range(1, 17)],
    ),
    (OWN, ['00007_00002 (1).jpg', 'Copy of 00007_00003.jpg']),
    (['a.jpg', 'b.jpg', 'c.jpg'], []),
    (['a1b.jpg', 'b.jpg', 'c3.jpg', 'd4f5.jpg'], []),  # no system
]


@each(('own', 'others'), FOREIGN)
def test_frames_that_belong_elsewhere_are_left_out(tmp_path, own, others):
    names = sorted([*own, *others], key=natural_key)
    others = sorted(others, key=natural_key)
    assert own_frames(names, '00007', True) == (own, others)
    write_frames(tmp_path / FACES / '00007', [*own, *others])
    write_dfew_split(tmp_path, 'train', [(7, 1)])
    with logged() as lines:
        dataset = load(tmp_path)
    assert dataset.get_data_info(0)['frames'] == own
    told = [line for line in lines if 'not named like' in line]
    assert bool(told) == bool(others) == bool(dataset.foreign)
    assert all(f'{len(others)} images in 1 clips' in line for line in told)


@each(
    ('clip', 'own'),
    [
        ('0010', ['0010_1.jpg', '0010_2.jpg']),
        ('0010', ['10_1.jpg', '10_2.jpg', '10_3.jpg']),
        ('0010', ['0010-01.jpg', '0010-02.jpg']),
        ('anna_001', ['anna_001_1.png', 'anna_001_2.png']),
    ],
)
def test_frames_that_begin_with_the_name_of_another_clip(clip, own):
    """Also of sets whose frames may be called anything."""
    others = [n.replace('10', '11').replace('_001', '_002') for n in own]
    others += ['thumb.jpg', '1.jpg']
    names = sorted([*own, *others], key=natural_key)
    assert own_frames(names, clip) == (own, sorted(others, key=natural_key))
    # Without any of its own name nobody knows.
    year = ['2024_1.jpg', '2024_2.jpg']
    assert own_frames(year, clip) == (year, [])
    plain = ['9.jpg', '10.jpg', '11.jpg']
    assert own_frames(plain, '10') == (plain, [])
    assert own_frames([*plain, '10_1.jpg'], '10') == (plain, ['10_1.jpg'])


def test_a_clip_of_nothing_but_foreign_frames_is_missing(tmp_path):
    write_frames(tmp_path / FACES / '00007', ['00009_00001.jpg'])
    write_dfew_split(tmp_path, 'train', [(7, 1)])
    with pytest.raises(FileNotFoundError, match='are of another clip'):
        load(tmp_path)
