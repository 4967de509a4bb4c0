import json

import pytest
from mmengine.config import Config

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.datasets.synthetic.digests import join_blocks
from micacl_mm.datasets.synthetic.reference import BLOCKS, LABELS
from micacl_mm.leaderboard.tested import (
    count_dropped,
    dataset_id,
    frames_of,
    inner,
    sampling_in_words,
)
from tests.datasets.tree import write_dfew, write_dfew_split, write_ferv_split

from .test_training import ROOT


def lazy(root, kind=DFEWDataset, **kwargs):
    return kind(str(root), [], lazy_init=True, **kwargs)


def test_ids(tmp_path):
    assert dataset_id(lazy(tmp_path)) == 'dfew'
    assert dataset_id(lazy(tmp_path, FERV39kDataset)) == 'ferv39k'
    (tmp_path / 'synthetic.json').write_text('{}')
    assert dataset_id(lazy(tmp_path, FERV39kDataset)) == 'synthetic'
    recipe = dict(name='synthetic', version=1, level='hard', labels=LABELS)
    (tmp_path / 'benchmark.json').write_text(json.dumps(recipe))
    assert dataset_id(lazy(tmp_path)) == 'synthetic-v1-hard'
    other = json.dumps({**recipe, 'labels': 'others'})
    for broken in ('{', '[]', '{"name": "synthetic"}', other):
        (tmp_path / 'benchmark.json').write_text(broken)
        assert dataset_id(lazy(tmp_path)) == 'synthetic'


def test_frames_of_a_level_are_told_from_others(tmp_path):
    assert frames_of(lazy(tmp_path)) is None
    recipe = dict(name='synthetic', version=1, level='hard', labels=LABELS)
    for level, expected in (('hard', 'reference'), ('easy', 'differ')):
        frames = join_blocks(BLOCKS[level].split())
        text = json.dumps({**recipe, 'frames': frames})
        (tmp_path / 'benchmark.json').write_text(text)
        assert dataset_id(lazy(tmp_path)) == 'synthetic-v1-hard'
        assert frames_of(lazy(tmp_path)) == expected
    (tmp_path / 'benchmark.json').write_text(json.dumps(recipe))
    assert frames_of(lazy(tmp_path)) == 'differ'


def test_ids_of_other_sets_and_wrappers():
    class Other:
        metainfo = {}

    class Wrapper:
        dataset = Other()

    assert dataset_id(inner(Wrapper())) == 'other'


def test_dropped_clips_are_counted_from_the_split_file(tmp_path):
    rows = [(1, 1), (2, 2), (3, 3)]
    write_dfew(tmp_path, rows, split='test')
    write_dfew_split(tmp_path, 'test', [*rows, (4, 4)])
    settings = dict(split='test', missing='drop')
    dataset = DFEWDataset(str(tmp_path), [], **settings)
    assert count_dropped(dataset, len(dataset)) == 1
    assert count_dropped(dataset, 4) == 0
    assert count_dropped(object(), 4) is None
    assert count_dropped(lazy(tmp_path, split='train'), 4) is None
    write_ferv_split(tmp_path, 'test', ['War/Sad/0001', 'War/Sad/0002'])
    ferv = lazy(tmp_path, FERV39kDataset, split='test')
    assert count_dropped(ferv, 1) == 1


def steps(**kwargs):
    return [dict(type=name, **values) for name, values in kwargs.items()]


@pytest.mark.parametrize(
    ('pipeline', 'words'),
    [
        (
            steps(
                DecordInit={},
                SampleInstances=dict(instance_stride=2, test_mode=True),
                Resize=dict(scale=(112, 112), keep_ratio=False),
                Flip=dict(flip_ratio=0),
            ),
            '16 frames, 7 instances of 4 at stride 2, 112 px, 1 crop, '
            'no chance',
        ),
        (
            steps(
                SampleFrames=dict(
                    clip_len=32, frame_interval=2, num_clips=10, test_mode=True
                ),
                Resize=dict(scale=(-1, 256)),
                ThreeCrop=dict(crop_size=256),
            ),
            '10 clips of 32 frames at stride 2, 256 px, 3 crops, no chance',
        ),
        (
            steps(
                SampleFrames=dict(clip_len=1),
                Resize=dict(scale=(float('inf'), 256)),
                RandomResizedCrop={},
                Flip={},
                ColorJitter={},
            ),
            '1 clip of 1 frame, 256 px, 1 crop, chance in SampleFrames and '
            'RandomResizedCrop and Flip and ColorJitter',
        ),
        (
            steps(
                DenseSampleFrames=dict(
                    clip_len=8, num_sample_positions=10, test_mode=True
                ),
                CenterCrop=dict(crop_size=(224, 112)),
            ),
            '10 clips of 8 frames, 224 x 112 px, 1 crop, no chance',
        ),
        (steps(UniformSampleFrames={'test_mode': True}), None),
        ([], '1 crop, no chance'),
    ],
)
def test_sampling(pipeline, words):
    expected = words or '1 clip, 1 crop, no chance'
    assert sampling_in_words(pipeline) == expected


def test_sampling_of_both_forms_of_our_configs():
    for folder in ('configs', 'micacl_mm/configs'):
        config = Config.fromfile(ROOT / folder / 'micacl_dfew.py').to_dict()
        found = sampling_in_words(config['test_pipeline'])
        assert found == (
            '16 frames, 4 instances of 4, 112 px, 1 crop, no chance'
        )
        assert 'chance in' in sampling_in_words(config['train_pipeline'])
