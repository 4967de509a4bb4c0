"""What both sets share: gaps, missing clips, slices, wrappers, workers."""

import os
import pickle
from collections import Counter

import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from torch.utils.data import DataLoader

from micacl_mm.datasets import DFEWDataset, FERV39kDataset

from .tree import (
    files_below,
    frame_number,
    logged,
    write_dfew,
    write_dfew_split,
    write_ferv,
    write_frames,
)

DECODE = dict(type='RawFrameDecode')
ROWS = [(n, 1 + n % 3) for n in range(1, 31)]


def load(root, pipeline=(), **kwargs):
    return DFEWDataset(str(root), pipeline=list(pipeline), **kwargs)


def ids(dataset):
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def one_clip(root, names, pipeline):
    write_frames(root / 'Clip/clip_224x224/00007', names)
    write_dfew_split(root, 'train', [(7, 1)])
    return load(root, pipeline)[0]


GAPS = [f'00007_{n:05d}.jpg' for n in (2, 3, 7, 8, 9, 15, 20, 21, 40, 41)]
PLAIN = [f'{n}.jpg' for n in range(1, 11)]
MIXED = ['a.png', 'frame2.jpg', 'frame10.jpg', 'frame11.JPG']


@pytest.mark.parametrize('names', [GAPS, PLAIN, MIXED])
@pytest.mark.parametrize(
    'sampler',
    [
        dict(type='SampleFrames', clip_len=4, num_clips=2, test_mode=True),
        dict(type='SampleFrames', clip_len=1, num_clips=4),
        dict(type='UniformSample', clip_len=8),
        dict(type='DenseSampleFrames', clip_len=4, num_clips=2),
        dict(type='SampleInstances', num_frames=8, test_mode=True),
        dict(type='SampleInstances', num_frames=8),
    ],
)
def test_any_names_work_with_any_sampler(tmp_path, names, sampler):
    np.random.seed(0)
    sample = one_clip(tmp_path, names, [sampler, DECODE])
    assert sample['total_frames'] == len(names)
    assert sample['start_index'] == 0
    # The k-th frame in natural order was drawn with grey level k.
    decoded = [frame_number(image) for image in sample['imgs']]
    assert decoded == sample['frame_inds'].tolist()
    assert len(set(decoded)) > 1


def test_a_list_of_frames_that_lies_is_not_believed(tmp_path):
    folder = tmp_path / 'Clip/clip_224x224/00007'
    folder.mkdir(parents=True)
    (folder / 'Thumbs.db').write_bytes(b'x')
    (folder / 'num_frames.txt').write_text('99')
    (tmp_path / 'EmoLabel_DataSplit').mkdir()
    (tmp_path / 'EmoLabel_DataSplit/frames.csv').write_text('7,99\n')
    sample = one_clip(tmp_path, GAPS, [])
    assert sample['total_frames'] == 10
    (folder / GAPS[-1]).unlink()
    assert load(tmp_path)[0]['total_frames'] == 9


def test_nothing_is_written_beside_the_data(tmp_path):
    write_dfew(tmp_path / 'dfew', ROWS)
    write_ferv(tmp_path / 'ferv', ['War/Sad/0001'])
    before = files_below(tmp_path)
    load(tmp_path / 'dfew', val_ratio=0.2)
    FERV39kDataset(str(tmp_path / 'ferv'), pipeline=[])
    assert files_below(tmp_path) == before and len(before) > 90


def test_clip_folders_are_listed_once_but_for_a_probe(tmp_path, monkeypatch):
    write_dfew(tmp_path, ROWS)
    listed = Counter()
    scandir = os.scandir

    def counting(path):
        listed[str(path)] += 1
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', counting)
    load(tmp_path)
    folder = str(tmp_path / 'Clip/clip_224x224')
    clips = {p: n for p, n in listed.items() if p.startswith(f'{folder}/')}
    assert len(clips) == 30 and sum(clips.values()) == 31


def test_sample_fields(tmp_path):
    write_dfew(tmp_path, ROWS)
    info = load(tmp_path).get_data_info(4)
    assert info['video_id'] == '00005' and info['label'] == 2
    assert info['frame_dir'].endswith('clip_224x224/00005')
    assert info['frames'] == ['00005_00003.jpg', '00005_00009.jpg']
    assert (info['total_frames'], info['start_index']) == (2, 0)
    template = info['filename_tmpl']
    assert [template.format(np.int32(i)) for i in (0, 1)] == info['frames']
    again = pickle.loads(pickle.dumps(template))
    assert again.format(1) == info['frames'][1]


@pytest.mark.parametrize('index', [-1, 2])
def test_frame_outside_the_clip(tmp_path, index):
    write_dfew(tmp_path, ROWS)
    template = load(tmp_path).get_data_info(0)['filename_tmpl']
    with pytest.raises(IndexError, match='must be in 0..1'):
        template.format(index)


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_missing_root(tmp_path, kind):
    with pytest.raises(FileNotFoundError) as error:
        kind(str(tmp_path / 'gone'), pipeline=[])
    for word in [
        kind.__name__,
        'data_root',
        'gone',
        'Expected tree',
        'do set',
    ]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(split='valid'), "split must be one of 'train', 'val', 'test'"),
        (dict(source='video'), "source must be one of 'frames', 'videos'"),
        (dict(missing='skip'), "missing must be one of 'raise', 'drop'"),
        (dict(val_ratio=1.0), r'val_ratio must be a number in \[0, 1\)'),
        (dict(val_ratio=-0.1), r'must be a number in \[0, 1\), got -0.1'),
        (dict(val_ratio='0.1'), r"must be a number in \[0, 1\), got '0.1'"),
        (dict(val_ratio=None), r'must be a number in \[0, 1\), got None'),
        (dict(split='val'), 'the same val_ratio, say 0.1'),
    ],
)
@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_wrong_arguments(tmp_path, kind, kwargs, words):
    with pytest.raises(ValueError, match=words) as error:
        kind(str(tmp_path), pipeline=[], **kwargs)
    assert str(error.value).startswith(f'{kind.__name__}: ')


def remove(root, numbers):
    for number in numbers:
        folder = root / f'Clip/clip_224x224/{number:05d}'
        for frame in folder.iterdir():
            frame.unlink()
        folder.rmdir()


@pytest.mark.parametrize('gone', [12, 20])
def test_the_log_names_every_missing_clip_on_one_line(tmp_path, gone):
    write_dfew(tmp_path, ROWS)
    remove(tmp_path, range(3, 3 + gone))
    with logged() as lines, pytest.raises(FileNotFoundError, match='the log'):
        load(tmp_path)
    line = next(line for line in lines if 'missing' in line)
    assert f'{gone} of 30 clips are missing' in line and '\n' not in line
    for number in range(3, 3 + gone):
        assert f'{number:05d} (absent)' in line
    assert 'Dropped' not in line


def test_missing_clips_raise_and_are_named(tmp_path):
    write_dfew(tmp_path, ROWS)
    remove(tmp_path, range(3, 15))
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path)
    text = str(error.value)
    assert '--missing drop' in text
    assert '12 of 30 clips are missing' in text
    for number in range(3, 13):
        assert f'{number:05d} (absent)' in text
    assert '00013' not in text and '...' in text
    assert "missing='drop'" in text and 'Clip/clip_224x224' in text


def test_missing_clips_are_dropped_if_told_so(tmp_path):
    write_dfew(tmp_path, ROWS)
    remove(tmp_path, [3, 5])
    with logged() as lines:
        dataset = load(tmp_path, missing='drop')
    assert len(dataset) == 28
    assert not {'00003', '00005'} & set(ids(dataset))
    assert sum(dataset.class_counts) == 28
    warning = next(line for line in lines if 'missing' in line)
    assert '2 of 30 clips are missing: 00003 (absent), 00005' in warning
    assert 'Dropped' in warning
    assert any('train: 28 clips' in line for line in lines)


def test_most_clips_missing_raises_even_if_told_to_drop(tmp_path):
    write_dfew(tmp_path, ROWS)
    remove(tmp_path, range(1, 17))
    with pytest.raises(FileNotFoundError, match='more than half') as error:
        load(tmp_path, missing='drop')
    assert 'clip_root (--clip-root DIR)' in str(error.value)
    write_dfew(tmp_path, ROWS[:1])
    write_dfew_split(tmp_path, 'train', ROWS)
    assert len(load(tmp_path, missing='drop')) == 15


def test_empty_clip_folder(tmp_path):
    write_dfew(tmp_path, ROWS)
    folder = tmp_path / 'Clip/clip_224x224/00004'
    for frame in folder.iterdir():
        frame.rename(frame.with_suffix('.txt'))
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path)
    assert f'00004 (no image in {folder})' in str(error.value)
    assert len(load(tmp_path, missing='drop')) == 29


def test_empty_video(tmp_path):
    for number, _ in ROWS:
        path = tmp_path / f'Clip/original/{number}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'' if number == 4 else b'x')
    write_dfew_split(tmp_path, 'train', ROWS)
    with pytest.raises(FileNotFoundError, match='empty file .*4.mp4'):
        load(tmp_path, source='videos')


def test_videos_that_cannot_be_read_are_missing_clips(tmp_path):
    for number, _ in ROWS:
        path = tmp_path / f'Clip/original/{number}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        if number == 4:
            path.symlink_to(tmp_path / 'gone.mp4')
        elif number == 5:
            path.symlink_to(path)
        else:
            path.write_bytes(b'x')
    write_dfew_split(tmp_path, 'train', ROWS)
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path, source='videos')
    assert '2 of 30 clips are missing: 00004 (cannot read' in str(error.value)
    assert '5.mp4' in str(error.value)
    assert len(load(tmp_path, source='videos', missing='drop')) == 28


def test_a_folder_that_vanishes_is_a_missing_clip(tmp_path, monkeypatch):
    write_dfew(tmp_path, ROWS)
    scandir = os.scandir

    def vanishing(path):
        if str(path).endswith('00004'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', vanishing)
    with pytest.raises(
        FileNotFoundError, match=r'00004 \(cannot read .*00004'
    ):
        load(tmp_path)
    assert len(load(tmp_path, missing='drop')) == 29


def test_frames_that_are_empty_or_link_to_nothing(tmp_path):
    write_dfew(tmp_path, ROWS)
    clips = tmp_path / 'Clip/clip_224x224'
    for frame in (clips / '00004').iterdir():
        frame.write_bytes(b'')
    for frame in (clips / '00005').iterdir():
        frame.unlink()
        frame.symlink_to(tmp_path / 'gone.jpg')
    frame = clips / '00006/00006_00001.jpg'
    frame.symlink_to(frame)
    with pytest.raises(FileNotFoundError, match='2 of 30') as error:
        load(tmp_path)
    first = clips / '00004/00004_00003.jpg'
    assert f'00004 (empty file {first})' in str(error.value)
    assert f'00005 (no image in {clips / "00005"})' in str(error.value)
    dataset = load(tmp_path, missing='drop')
    assert dataset[3]['video_id'] == '00006'
    assert dataset[3]['total_frames'] == 2


def test_root_that_is_a_file(tmp_path):
    (tmp_path / 'file').write_bytes(b'x')
    with pytest.raises(FileNotFoundError, match='is no folder; do set'):
        load(tmp_path / 'file')


@pytest.mark.parametrize('write', [write_dfew, write_ferv])
def test_drawn_set_is_not_compared_with_the_official_counts(tmp_path, write):
    dfew = write is write_dfew
    write(tmp_path, ROWS if dfew else ['War/Sad/0001'])
    (tmp_path / 'synthetic.json').write_text('{}')
    with logged() as lines:
        (DFEWDataset if dfew else FERV39kDataset)(str(tmp_path), pipeline=[])
    line = next(line for line in lines if 'Dataset' in line)
    assert 'drawn set' in line
    assert 'official' not in line and 'instead of' not in line


def test_no_clip_at_all(tmp_path):
    write_dfew_split(tmp_path, 'train', ROWS)
    with pytest.raises(FileNotFoundError, match='no frames of clips'):
        load(tmp_path, missing='drop')


def test_slice_cuts_train_in_two(tmp_path):
    write_dfew(tmp_path, ROWS)
    with logged() as lines:
        train = load(tmp_path, val_ratio=0.2, val_seed=3)
        val = load(tmp_path, split='val', val_ratio=0.2, val_seed=3)
    whole = load(tmp_path)
    assert not set(ids(train)) & set(ids(val))
    assert sorted(ids(train) + ids(val)) == ids(whole)
    assert val.class_counts == [2, 2, 2, 0, 0, 0, 0]
    assert train.class_counts == [8, 8, 8, 0, 0, 0, 0]
    # Both parts together are compared with the official counts.
    texts = [line for line in lines if 'DFEWDataset' in line]
    assert 'train: 24 clips' in texts[0] and 'val: 6 clips' in texts[1]
    for text, other in zip(texts, (6, 24), strict=True):
        assert 'Happy 10 instead of 1956' in text
        assert f'{other} more of train' in text


def test_test_split_is_never_sliced(tmp_path):
    write_dfew(tmp_path, ROWS, split='test')
    assert len(load(tmp_path, split='test', val_ratio=0.5)) == 30


def test_repeat_and_balance(tmp_path):
    rows = [(n, 1) for n in range(1, 17)] + [(17, 6)]
    write_dfew(tmp_path, rows)
    dataset = load(tmp_path)
    assert dataset.get_cat_ids(0) == [0] and dataset.get_cat_ids(16) == [5]
    assert len(RepeatDataset(dataset, times=3)) == 51
    balanced = ClassBalancedDataset(dataset, oversample_thr=16 / 17)
    # sqrt((16 / 17) / (1 / 17)) = 4 copies of the only Disgust clip.
    labels = [balanced.get_cat_ids(i)[0] for i in range(len(balanced))]
    assert Counter(labels) == {0: 16, 5: 4}
    assert balanced[len(balanced) - 1]['video_id'] == '00017'


def test_balance_rounds_every_number_of_repeats_up(tmp_path):
    rows = [(n, 1) for n in range(1, 11)]
    rows += [(n, 2) for n in range(11, 15)] + [(15, 6)]
    write_dfew(tmp_path, rows)
    balanced = ClassBalancedDataset(load(tmp_path), oversample_thr=0.5)
    labels = [balanced.get_cat_ids(i)[0] for i in range(len(balanced))]
    # Of 15 clips 10, 4 and 1: sqrt(0.5 / share) is 0.87, 1.37 and 2.74.
    # MMEngine shows a clip ceil(factor) times, not factor times on average.
    assert Counter(labels) == {0: 10, 1: 4 * 2, 5: 1 * 3}


@pytest.mark.parametrize('serialize', [True, False])
def test_counts_follow_subsets(tmp_path, serialize):
    write_dfew(tmp_path, ROWS)
    dataset = load(tmp_path, serialize_data=serialize, indices=12)
    assert dataset.class_counts == [4, 4, 4, 0, 0, 0, 0]
    part = dataset.get_subset([0, 3])
    assert part.class_counts == [0, 2, 0, 0, 0, 0, 0]
    assert part[1]['video_id'] == '00004'


def test_lazy_dataset_reads_nothing_before_it_is_needed(tmp_path):
    dataset = load(tmp_path / 'later', lazy_init=True)
    assert dataset.metainfo['classes'][0] == 'Happy'
    write_dfew(tmp_path / 'later', ROWS)
    assert len(dataset) == 30 and 'clip_224x224' in dataset.layout


def test_two_workers_bring_every_clip_once_and_drop_none(tmp_path):
    write_dfew(tmp_path, ROWS[:29])
    pipeline = [
        dict(type='SampleInstances', num_frames=4, instance_len=2),
        DECODE,
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=('video_id',)),
    ]
    loader = DataLoader(
        load(tmp_path, pipeline, test_mode=True),
        batch_size=4,
        num_workers=2,
        collate_fn=list,
    )
    samples = [sample for batch in loader for sample in batch]
    names = [sample['data_samples'].video_id for sample in samples]
    assert names == [f'{n:05d}' for n, _ in ROWS[:29]]
    labels = [int(sample['data_samples'].gt_label) for sample in samples]
    assert labels == [label - 1 for _, label in ROWS[:29]]
    for sample in samples:
        assert sample['inputs'].shape == (2, 3, 2, 16, 16)
        # Two frames over four segments: each is repeated, in order.
        means = sample['inputs'].float().mean((1, 3, 4)).flatten().tolist()
        assert means[0] == means[1] < means[2] == means[3]
