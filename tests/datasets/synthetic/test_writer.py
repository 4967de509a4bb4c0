"""Trees, files and bytes of both layouts."""

import hashlib
import re
import shutil
import zipfile
from xml.etree import ElementTree

import cv2
import pytest

from micacl_mm.datasets.synthetic import (
    EMOTIONS,
    RECIPES,
    ClipSpec,
    make_synthetic,
)
from micacl_mm.datasets.synthetic.clip import clip_layout

SEED = 3  # as in conftest.py


def _digests(root, pattern='*'):
    return {
        str(path.relative_to(root)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(root.rglob(pattern))
        if path.is_file()
    }


def _read_workbook(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        for name in file.namelist():
            ElementTree.fromstring(file.read(name))
        assert {
            '[Content_Types].xml',
            '_rels/.rels',
            'xl/workbook.xml',
        } <= set(file.namelist())
        sheet = ElementTree.fromstring(file.read('xl/worksheets/sheet1.xml'))
    space = '{http://schemas.openxmlformats.org/spreadsheetml/2006/main}'
    rows = []
    for row in sheet.iter(f'{space}row'):
        cells = []
        for cell in row:
            text = cell.find(f'.//{space}t')
            value = cell.find(f'{space}v')
            cells.append(int(value.text) if text is None else text.text)
        rows.append(cells)
    return rows


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
    gaps = 0
    for number, folder in enumerate(folders, start=1):
        assert folder.name == f'{number:05d}'
        names = sorted(path.name for path in folder.iterdir())
        pattern = rf'{folder.name}_(\d{{5}})\.jpg'
        kept = [int(re.fullmatch(pattern, name)[1]) for name in names]
        length, numbers = clip_layout(
            ClipSpec(number, ('Sad',), 0, 0), SEED, 'dfew'
        )
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


def test_dfew_annotation_opens_in_a_spreadsheet_reader(dfew):
    openpyxl = pytest.importorskip('openpyxl')
    path = dfew[0] / 'Annotation' / 'annotation.xlsx'
    sheet = openpyxl.load_workbook(path).active
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert rows == _read_workbook(path)


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
            scene = path.stem.split('_')[1]
            assert all(line.startswith(f'{scene}/') for line in lines)
            scenes += lines
        assert sorted(scenes) == sorted(rows)
        assert len(rows) == sum(summary['splits'][part].values())
    assert len(seen) == summary['clips']
    assert min(summary['splits']['test'].values()) >= 2


def test_same_bytes_from_two_workers(dfew, tmp_path):
    root, _ = dfew
    options = dict(num_clips=40, seed=SEED, size=32, test_per_class=2)
    make_synthetic(tmp_path / 'set', workers=2, videos=True, **options)
    assert _digests(tmp_path / 'set') == _digests(root)


def test_other_seed_gives_other_bytes(dfew, tmp_path):
    make_synthetic(tmp_path / 'set', num_clips=35, seed=4, size=32, folds=(1,))
    first = _digests(tmp_path / 'set', '00001_00001.jpg')
    second = _digests(dfew[0], '00001_00001.jpg')
    assert first.keys() == second.keys() and first != second
    splits = (tmp_path / 'set' / 'EmoLabel_DataSplit').rglob('*.csv')
    assert {path.name for path in splits} == {'set_1.csv'}


def test_resumes_where_it_was_interrupted(ferv39k, tmp_path):
    root = tmp_path / 'set'
    shutil.copytree(ferv39k[0], root)
    whole = _digests(root)
    folder = next((root / '2_ClipsforFaceCrop').glob('*/Happy/*'))
    shutil.rmtree(folder)
    video = next((root / '0_7_LabelClips').glob('*/Sad/*'))
    video.unlink()
    (root / '4_setups/All_scenes/train_All.csv').unlink()
    rest = root / '.unfinished' / '1'
    rest.mkdir(parents=True)
    (rest / '00001.jpg').write_bytes(b'half')
    options = dict(layout='ferv39k', num_clips=30, seed=SEED, size=32)
    again = make_synthetic(root, test_per_class=2, videos=True, **options)
    assert again['drawn'] == 2
    assert _digests(root) == whole
    assert not (root / '.unfinished').exists()
    idle = make_synthetic(root, test_per_class=2, **options)
    assert idle['drawn'] == 0


def test_refuses_another_set(dfew):
    with pytest.raises(ValueError, match='another seed'):
        make_synthetic(
            dfew[0], num_clips=40, seed=9, size=32, test_per_class=2
        )


def test_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / 'thesis.tex').write_text('mine')
    with pytest.raises(ValueError, match='is no synthetic set'):
        make_synthetic(tmp_path, num_clips=35)
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.tex']


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(num_clips=34), 'at least 35'),
        (dict(layout='ferv39k', num_clips=13), 'at least 14'),
        (dict(layout='mafw'), 'layout must be'),
        (dict(size=16), 'size must be 32'),
        (dict(size=65), 'size must be even'),
        (dict(folds=(0, 1)), 'folds must be'),
        (dict(folds=()), 'folds must be'),
        (dict(test_per_class=-1), 'test_per_class must be'),
        (dict(workers=0), 'workers must be'),
        (dict(difficulty='cruel'), 'difficulty must be'),
    ],
)
def test_bad_arguments(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_synthetic(tmp_path / 'set', **wrong)
    assert not (tmp_path / 'set').exists()
