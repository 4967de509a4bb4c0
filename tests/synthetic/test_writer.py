"""Trees, files and bytes of both layouts."""

import re

import cv2
import numpy as np
import openpyxl
import pytest

from micacl_mm.synthetic import (
    EMOTIONS,
    RECIPES,
    make_synthetic,
)
from micacl_mm.synthetic.clip import clip_layout
from micacl_mm.synthetic.plan import plan_dfew

from .digests import digests

SEED = 3  # as in conftest.py


def _read_workbook(path):
    sheet = openpyxl.load_workbook(path).active
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def _dfew_split(root, part, fold):
    folder = root / 'EmoLabel_DataSplit' / f'{part}(single-labeled)'
    head, *rows = (folder / f'set_{fold}.csv').read_text().splitlines()
    assert head == 'video_name,label'
    return [tuple(map(int, row.split(','))) for row in rows]


def test_dfew_tree(dfew):
    root, summary = dfew
    assert {p.name for p in root.iterdir()} == {
        'Annotation',
        'Clip',
        'EmoLabel_DataSplit',
        'synthetic.json',
    }
    folders = sorted((root / 'Clip' / 'clip_224x224').iterdir())
    assert len(folders) == summary['clips'] == summary['drawn']
    plan = plan_dfew(40, SEED, (1, 2, 3, 4, 5), 2)
    gaps = 0
    for number, folder in enumerate(folders, start=1):
        assert folder.name == f'{number:05d}'
        clip = plan.clips[number - 1]
        names = sorted(path.name for path in folder.iterdir())
        pattern = rf'{folder.name}_(\d{{5}})\.jpg'
        kept = [int(re.fullmatch(pattern, name)[1]) for name in names]
        length, numbers = clip_layout(clip, SEED, 'dfew')
        assert kept == numbers
        gaps += len(kept) < length
        image = cv2.imread(str(folder / names[0]))
        assert image.shape == (32, 32, 3)
    assert gaps > 0


def test_dfew_splits(dfew):
    root, summary = dfew
    for fold in range(1, 6):
        train = _dfew_split(root, 'train', fold)
        test = _dfew_split(root, 'test', fold)
        assert {label for _, label in test} == set(range(1, 8))
        assert not {n for n, _ in train} & {n for n, _ in test}
        counts = summary['splits'][f'test{fold}']
        for code, emotion in enumerate(EMOTIONS, start=1):
            found = sum(label == code for _, label in test)
            assert found == counts[emotion] >= 2
    text = (
        root / 'EmoLabel_DataSplit' / 'train(single-labeled)' / 'set_1.csv'
    ).read_bytes()
    assert re.fullmatch(rb'video_name,label\n([1-9]\d*,[1-7]\n)+', text)


def test_dfew_annotation(dfew):
    root, summary = dfew
    head, *rows = _read_workbook(root / 'Annotation' / 'annotation.xlsx')
    assert len(head) == 9 and all(isinstance(name, str) for name in head)
    assert [row[7] for row in rows] == list(range(1, summary['clips'] + 1))
    labels = dict(_dfew_split(root, 'train', 1) + _dfew_split(root, 'test', 1))
    for fold in range(2, 6):
        labels |= dict(_dfew_split(root, 'test', fold))
    unclear = 0
    for *votes, name, code in rows:
        assert sum(votes) == 10
        if code:
            assert votes[code - 1] >= 6 and labels[name] == code
        else:
            assert max(votes) < 6 and name not in labels
            unclear += 1
    assert unclear >= 2


def test_ferv39k_tree_and_splits(ferv39k):
    root, summary = ferv39k
    setups = root / '4_setups'
    seen = set()
    for part in ('train', 'test'):
        text = (setups / 'All_scenes' / f'{part}_All.csv').read_text()
        rows = text.splitlines()
        for row in rows:
            scene, emotion, name, label = re.fullmatch(
                r'([A-Za-z]+)/([A-Z][a-z]+)/(\d{4}) ([A-Z][a-z]+)', row
            ).groups()
            assert emotion == label and label in RECIPES
            clip = f'{scene}/{emotion}/{name}'
            frames = sorted((root / '2_ClipsforFaceCrop' / clip).iterdir())
            assert all(re.fullmatch(r'\d{5}\.jpg', f.name) for f in frames)
            assert (root / '0_7_LabelClips' / f'{clip}.mp4').is_file()
            assert clip not in seen
            seen.add(clip)
        scenes = []
        for path in sorted((setups / '22_scenes').glob(f'{part}_*.csv')):
            lines = path.read_text().splitlines()
            assert lines
            scene = path.stem.split('_')[1]
            assert all(line.startswith(f'{scene}/') for line in lines)
            scenes += lines
        assert sorted(scenes) == sorted(rows)
        assert len(rows) == sum(summary['splits'][part].values())
    assert len(seen) == summary['clips']
    assert min(summary['splits']['test'].values()) >= 2


def test_same_bytes_from_two_workers(ferv39k, tmp_path):
    options = dict(num_clips=30, seed=SEED, size=32, test_per_class=2)
    root = tmp_path / 'set'
    make_synthetic(root, layout='ferv39k', workers=2, videos=True, **options)
    assert digests(root) == digests(ferv39k[0])


def test_same_bytes_of_annotation_and_splits(dfew, tmp_path, no_clips):
    root = tmp_path / 'set'
    make_synthetic(root, num_clips=40, seed=SEED, size=32, test_per_class=2)
    lists = digests(root)
    assert len(lists) == 12
    assert lists.items() <= digests(dfew[0]).items()


def test_other_seed_gives_other_bytes(ferv39k, tmp_path):
    make_synthetic(
        tmp_path / 'set', layout='ferv39k', num_clips=14, seed=4, size=32
    )
    first = digests(tmp_path / 'set', '*.jpg').values()
    second = digests(ferv39k[0], '*.jpg').values()
    assert first and not {*first} & {*second}


def test_split_files_of_the_folds_asked_for(tmp_path, no_clips):
    root = tmp_path / 'set'
    make_synthetic(root, num_clips=35, size=32, folds=(3, 1))
    splits = (root / 'EmoLabel_DataSplit').rglob('*.csv')
    names = sorted(path.name for path in splits)
    assert names == ['set_1.csv', 'set_1.csv', 'set_3.csv', 'set_3.csv']


def test_videos_have_all_frames(dfew, ferv39k):
    decord = pytest.importorskip('decord')
    root, _ = dfew
    plan = plan_dfew(40, SEED, (1, 2, 3, 4, 5), 2)
    for clip in plan.clips:
        length, _ = clip_layout(clip, SEED, 'dfew')
        path = root / f'Clip/original/{int(clip.name)}.mp4'
        reader = decord.VideoReader(str(path))
        assert len(reader) == length
        assert reader[length - 1].shape == (32, 32, 3)
    video = next((ferv39k[0] / '0_7_LabelClips').rglob('*.mp4'))
    capture = cv2.VideoCapture(str(video))
    assert capture.read()[0]


def test_video_shows_the_frames(dfew):
    root, _ = dfew
    frame = root / 'Clip/clip_224x224/00001/00001_00001.jpg'
    image = cv2.imread(str(frame)).astype(int)
    ok, first = cv2.VideoCapture(str(root / 'Clip/original/1.mp4')).read()
    assert ok and np.abs(image - first).mean() < 20
