"""What both sets share: gaps, missing clips, classes, slices, workers."""

import os
import pickle
from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from torch.utils.data import ConcatDataset, Subset

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.hooks.class_counts_hook import count_classes
from micacl_mm.utils.datasets import class_labels, innermost
from tests.sets import (
    CLASSES,
    files_below,
    frame_number,
    logged,
    touch,
    write_dfew,
    write_dfew_split,
    write_ferv,
    write_frames,
)

DECODE = dict(type='RawFrameDecode')
ROWS = [(n, 1 + n % 3) for n in range(1, 31)]
CLIPS = 'Clip/clip_224x224'


@pytest.fixture
def dfew(tmp_path):
    write_dfew(tmp_path, ROWS)
    return tmp_path


def load(root, pipeline=(), **kwargs):
    return DFEWDataset(str(root), pipeline=list(pipeline), **kwargs)


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def ids(dataset):
    return [info['video_id'] for info in infos(dataset)]


def one_clip(root, names, pipeline):
    write_frames(root / CLIPS / '00007', names)
    write_dfew_split(root, 'train', [(7, 1)])
    return load(root, pipeline)[0]


GAPS = [f'00007_{n:05d}.jpg' for n in (2, 3, 7, 8, 9, 15, 20, 21, 40, 41)]
PLAIN = [f'{n}.jpg' for n in range(1, 11)]
MIXED = ['frame1.png', 'frame2.jpg', 'frame10.jpg', 'frame11.JPG']


@pytest.mark.parametrize('names', [GAPS, PLAIN, MIXED])
@pytest.mark.parametrize(
    'sampler',
    [
        dict(type='SampleFrames', clip_len=4, num_clips=2, test_mode=True),
        dict(type='UniformSample', clip_len=8),
        dict(type='SampleInstances', num_frames=8),
    ],
)
def test_any_names_work_with_any_sampler(tmp_path, names, sampler):
    sample = one_clip(tmp_path, names, [sampler, DECODE])
    assert sample['total_frames'] == len(names)
    assert sample['start_index'] == 0
    # The k-th frame in natural order was drawn with grey level k.
    decoded = [frame_number(image) for image in sample['imgs']]
    assert decoded == sample['frame_inds'].tolist()
    assert len(set(decoded)) > 1


def test_a_list_of_frames_that_lies_is_not_believed(tmp_path):
    folder = tmp_path / CLIPS / '00007'
    touch(folder / 'Thumbs.db')
    touch(folder / 'num_frames.txt', b'99')
    touch(tmp_path / 'EmoLabel_DataSplit/frames.csv', b'7,99\n')
    assert one_clip(tmp_path, GAPS, [])['total_frames'] == 10
    (folder / GAPS[-1]).unlink()
    assert load(tmp_path)[0]['total_frames'] == 9


def test_sample_fields(dfew):
    info = load(dfew).get_data_info(4)
    assert info['video_id'] == '00005' and info['label'] == 2
    assert info['frame_dir'].endswith('clip_224x224/00005')
    assert info['frames'] == ['00005_00003.jpg', '00005_00009.jpg']
    assert (info['total_frames'], info['start_index']) == (2, 0)
    template = info['filename_tmpl']
    assert [template.format(np.int32(i)) for i in (0, 1)] == info['frames']
    again = pickle.loads(pickle.dumps(template))
    assert again.format(1) == info['frames'][1]
    for index in (-1, 2):
        with pytest.raises(IndexError, match='must be in 0..1'):
            template.format(index)


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(split='valid'), "split must be one of 'train', 'val', 'test'"),
        (dict(source='video'), "source must be one of 'frames', 'videos'"),
        (dict(missing='skip'), "missing must be one of 'raise', 'drop'"),
        (dict(val_ratio=1.0), r'val_ratio must be in \[0, 1\)'),
        (dict(val_ratio=-0.1), r'val_ratio must be in \[0, 1\), got -0.1'),
        (dict(val_ratio='0.1'), r"val_ratio must be in \[0, 1\), got '0.1'"),
        (dict(val_ratio=None), r'val_ratio must be in \[0, 1\), got None'),
        (dict(split='val'), "split='val' needs val_ratio above 0"),
    ],
)
def test_wrong_arguments(tmp_path, kwargs, words):
    with pytest.raises(ValueError, match=f'DFEWDataset: .*{words}'):
        load(tmp_path, **kwargs)


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_a_root_that_is_no_folder(tmp_path, kind):
    (tmp_path / 'file').write_bytes(b'x')
    for name in ('gone', 'file'):
        with pytest.raises(FileNotFoundError, match='Expected tree') as error:
            kind(str(tmp_path / name), pipeline=[])
        assert str(tmp_path / name) in error.value.problem
        assert '--data-root' in error.value.cure


LISTS = (
    *('{path} 2 {label}', '{path},2,{label}', '"{path}" 2 {label}'),
    *('D:\\data\\{below} 40 {label}', '{official}', './{path}.MP4 2 {label}'),
)


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_lists_that_travel_with_other_code(tmp_path, kind):
    rows = [(n, 1 + n % 7) for n in range(1, 15)]
    write_dfew(tmp_path, rows)
    write_ferv(tmp_path, [f'War/{CLASSES[n % 7]}/{n:04d}' for n, _ in rows])
    expected = infos(kind(str(tmp_path), []))[3:9]
    list_file = tmp_path / 'list.txt'
    for number, form in enumerate(LISTS):
        lines = ['path frames label'] * (number % 2)
        for info in expected:
            name, label = info['video_id'], info['label']
            official = f'{name} {CLASSES[label]}'
            if kind is DFEWDataset:
                official = f'{int(name)},{label + 1}'
            path, below = info['frame_dir'], name.replace('/', '\\')
            lines.append(form.format(**locals()))
        list_file.write_text('\n'.join(lines))
        found = infos(kind(str(tmp_path), [], ann_file=str(list_file)))
        for key in ('video_id', 'label'):
            assert [i[key] for i in found] == [i[key] for i in expected]


@pytest.mark.parametrize(
    ('kind', 'row'),
    [
        *(
            (DFEWDataset, row)
            for row in ('{path} 2 7', '{path} 2 x', '{path} 2')
        ),
        *((FERV39kDataset, row) for row in ('{path} 2 7', '{path} 2')),
        (FERV39kDataset, '{path} 2 0'),  # labels in another order
    ],
)
def test_lists_that_cannot_be_right(tmp_path, kind, row):
    write_dfew(tmp_path, [(1, 2)])
    write_ferv(tmp_path, ['War/Sad/0001'])
    path = infos(kind(str(tmp_path), []))[0]['frame_dir']
    file = tmp_path / 'list.txt'
    file.write_text(row.format(path=path))
    with pytest.raises(ValueError, match=f'{file}, line 1: '):
        kind(str(tmp_path), [], ann_file=str(file))


# ---- missing clips


def remove(root, numbers):
    for number in numbers:
        folder = root / CLIPS / f'{number:05d}'
        for frame in folder.iterdir():
            frame.unlink()
        folder.rmdir()


def test_missing_clips_are_named(dfew):
    remove(dfew, range(3, 15))
    with logged() as lines, pytest.raises(FileNotFoundError) as error:
        load(dfew)
    text = error.value.problem
    assert '12 of 30 clips are missing' in text and CLIPS in text
    for number in range(3, 13):
        assert f'{number:05d} (absent)' in text
    assert '00013' not in text and '...' in text
    assert '--missing drop' in error.value.cure
    line = next(line for line in lines if 'missing' in line)
    assert line.count('(absent)') == 12 and '\n' not in line
    assert 'Dropped' not in line
    with logged() as lines:
        dataset = load(dfew, missing='drop')
    assert len(dataset) == sum(dataset.class_counts) == 18
    assert not {'00003', '00014'} & set(ids(dataset))
    assert any("Dropped by missing='drop'" in line for line in lines)
    assert any('train: 18 clips' in line for line in lines)


def test_most_clips_missing_raises_in_any_case(dfew):
    remove(dfew, range(1, 17))
    with pytest.raises(FileNotFoundError, match='more than half') as error:
        load(dfew, missing='drop')
    assert '--clip-root DIR' in error.value.cure


def test_clips_that_cannot_be_used_are_missing(dfew, monkeypatch):
    clips, scandir = dfew / CLIPS, os.scandir
    for frame in (clips / '00003').iterdir():
        frame.rename(frame.with_suffix('.txt'))
    for frame in (clips / '00004').iterdir():
        frame.write_bytes(b'')
    for frame in (clips / '00005').iterdir():
        frame.unlink()
        frame.symlink_to(dfew / 'gone.jpg')
    frame = clips / '00006/00006_00001.jpg'
    frame.symlink_to(frame)  # the others of this clip are used

    def barred(path):
        if str(path).endswith('00007'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', barred)
    with pytest.raises(FileNotFoundError, match='4 of 30') as error:
        load(dfew)
    for words in (
        f'00003 (no image in {clips / "00003"})',
        f'00004 (empty file {clips / "00004/00004_00003.jpg"})',
        f'00005 (no image in {clips / "00005"})',
        f'00007 (cannot read {clips / "00007"}: Permission denied)',
    ):
        assert words in error.value.problem
    dataset = load(dfew, missing='drop')
    assert len(dataset) == 26
    assert dataset[2]['video_id'] == '00006'
    assert dataset[2]['total_frames'] == 2


def test_videos_that_cannot_be_used_are_missing(tmp_path):
    folder = tmp_path / 'Clip/original'
    for number, _ in ROWS:
        touch(folder / f'{number}.mp4', b'' if number == 4 else b'x')
    for number, target in ((5, 'gone.mp4'), (6, '6.mp4')):
        (folder / f'{number}.mp4').unlink()
        (folder / f'{number}.mp4').symlink_to(target)
    write_dfew_split(tmp_path, 'train', ROWS)
    with pytest.raises(FileNotFoundError, match='3 of 30') as error:
        load(tmp_path, source='videos')
    assert f'00004 (empty file {folder / "4.mp4"})' in str(error.value)
    assert f'00005 (cannot read {folder / "5.mp4"}' in str(error.value)
    assert len(load(tmp_path, source='videos', missing='drop')) == 27


# ---- counts and slices


def test_slice_cuts_train_in_two(dfew):
    with logged() as lines:
        train = load(dfew, val_ratio=0.2, val_seed=3)
        val = load(dfew, split='val', val_ratio=0.2, val_seed=3)
    assert not set(ids(train)) & set(ids(val))
    before = files_below(dfew)
    assert sorted(ids(train) + ids(val)) == ids(load(dfew))
    assert files_below(dfew) == before  # nothing is written beside the data
    assert val.class_counts == [2, 2, 2, 0, 0, 0, 0]
    assert train.class_counts == [8, 8, 8, 0, 0, 0, 0]
    # Both parts together are compared with the official counts.
    texts = [line for line in lines if 'DFEWDataset' in line]
    assert 'train: 24 clips' in texts[0] and 'val: 6 clips' in texts[1]
    assert all('Happy 10 instead of 1956' in text for text in texts)


def test_test_split_is_never_sliced(tmp_path):
    write_dfew(tmp_path, ROWS, split='test')
    assert len(load(tmp_path, split='test', val_ratio=0.5)) == 30
    write_dfew(tmp_path, ROWS[:1])  # and one clip cannot be cut in two
    with pytest.raises(ValueError, match='set val_ratio=0'):
        load(tmp_path, val_ratio=0.5)


# ---- classes of one's own choice


@pytest.mark.parametrize('classes', [CLASSES[::-1], ('Fear', 'Happy', 'Sad')])
@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_labels_follow_the_names_of_the_classes(tmp_path, kind, classes):
    """As in MMDetection: another order, or some of them."""
    rows = [(n, 1 + n % 7) for n in range(1, 29)]
    write_dfew(tmp_path, rows)
    clips = [f'War/{CLASSES[n % 7]}/{n:04d}' for n in range(28)]
    write_ferv(tmp_path, clips)
    root = str(tmp_path)
    stock = kind(root, [], val_ratio=0.3)
    true = {i['video_id']: CLASSES[i['label']] for i in infos(stock)}
    for wrong in (('Happy', 'Joy'), ('Happy', 'Happy'), ('happy',)):
        with pytest.raises(ValueError, match='in metainfo must be some'):
            kind(root, [], metainfo=dict(classes=wrong))
    with logged() as lines:
        dataset = kind(root, [], val_ratio=0.3, metainfo=dict(classes=classes))
    assert dataset.metainfo['classes'] == tuple(classes)
    found = {i['video_id']: classes[i['label']] for i in infos(dataset)}
    # The same clips are held out, whatever the classes are.
    assert found == {k: name for k, name in true.items() if name in classes}
    named = Counter(true.values())
    counts = [named[name] for name in classes]
    assert dataset.class_counts == counts
    assert count_classes(dataset, len(classes)) == counts
    line = next(line for line in lines if kind.__name__ in line)
    official = kind.OFFICIAL_COUNTS[1 if kind is DFEWDataset else 'all']
    for name in classes:
        of = official['train'][CLASSES.index(name)]
        assert f'{name} 4 instead of {of}' in line


# ---- wrappers


def few(dataset, last=5):
    return Subset(dataset, range(last))


WRAPPERS = {
    'subset': (few, [1, 2, 2]),
    'subset of a subset': (lambda d: few(few(d), 2), [0, 1, 1]),
    'a clip twice': (lambda d: Subset(d, [0, 0, 3]), [0, 2, 0]),
    'repeated': (lambda d: RepeatDataset(d, 3), [10, 10, 10]),
    'balanced': (lambda d: ClassBalancedDataset(d, 1.0), [10, 10, 10]),
    'subset of repeated': (lambda d: few(RepeatDataset(d, 2)), [1, 2, 2]),
    'joined': (lambda d: ConcatDataset([d, few(d)]), [11, 12, 12]),
    'MMEngine subset': (lambda d: d.get_subset(range(5)), [1, 2, 2]),
}


@pytest.mark.parametrize(('wrap', 'counts'), WRAPPERS.values(), ids=WRAPPERS)
def test_counts_are_those_of_the_clips_that_are_shown(dfew, wrap, counts):
    dataset = load(dfew)
    wrapped = wrap(dataset)
    assert count_classes(wrapped, 7) == [*counts, 0, 0, 0, 0]
    labels = class_labels(wrapped, 'test')
    assert len(labels) == len(wrapped)
    assert labels == [wrapped[i]['label'] for i in range(len(wrapped))]
    assert all(type(d) is DFEWDataset for d in innermost(wrapped))


@pytest.mark.parametrize('closed', ['', 'EmoLabel_DataSplit', 'Clip', CLIPS])
def test_closed_folders_are_not_called_absent(dfew, monkeypatch, closed):
    closed = os.path.normpath(dfew / closed)
    real = os.scandir

    def refuse(path='.'):
        if os.path.normpath(path) == closed:
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(ValueError, match='permission denied') as error:
        load(dfew)
    assert closed in str(error.value) and 'chmod' in error.value.cure
