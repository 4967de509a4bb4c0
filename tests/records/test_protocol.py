import inspect
import json

import pytest
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import DefaultScope

import micacl_mm.faces.cropping  # noqa: F401, registers CropFaces
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.records.protocol import (
    count_dropped,
    dataset_id,
    frames_of,
    sampling_in_words,
)
from micacl_mm.synthetic.benchmark import FRAMES, LABELS
from tests.sets import write_dfew, write_dfew_split, write_ferv_split

from .test_training import ROOT


def lazy(root, kind=DFEWDataset, **kwargs):
    return kind(str(root), [], lazy_init=True, **kwargs)


def test_ids(tmp_path):
    assert dataset_id(lazy(tmp_path)) == 'dfew'
    assert dataset_id(lazy(tmp_path, FERV39kDataset)) == 'ferv39k'
    (tmp_path / 'synthetic.json').write_text('{}')
    assert dataset_id(lazy(tmp_path, FERV39kDataset)) == 'synthetic'
    recipe = dict(
        name='synthetic', version=1, level='hard', labels=LABELS['hard']
    )
    (tmp_path / 'benchmark.json').write_text(json.dumps(recipe))
    assert dataset_id(lazy(tmp_path)) == 'synthetic-v1-hard'
    other = json.dumps({**recipe, 'labels': 'others'})
    for broken in ('{', '[]', '{"name": "synthetic"}', other):
        (tmp_path / 'benchmark.json').write_text(broken)
        assert dataset_id(lazy(tmp_path)) == 'synthetic'


def test_frames_of_a_level_are_told_from_others(tmp_path):
    assert frames_of(lazy(tmp_path)) is None
    recipe = dict(
        name='synthetic', version=1, level='hard', labels=LABELS['hard']
    )
    for level, expected in (('hard', 'reference'), ('easy', 'differ')):
        text = json.dumps({**recipe, 'frames': FRAMES[level]})
        (tmp_path / 'benchmark.json').write_text(text)
        assert dataset_id(lazy(tmp_path)) == 'synthetic-v1-hard'
        assert frames_of(lazy(tmp_path)) == expected
    (tmp_path / 'benchmark.json').write_text(json.dumps(recipe))
    assert frames_of(lazy(tmp_path)) == 'differ'


def test_ids_of_other_sets():
    class Other:
        metainfo = {}

    assert dataset_id(Other()) == 'other'


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


SAMPLINGS = {
    '16 frames, 7 instances of 4 at stride 2, 112 px, 1 crop, no chance': (
        steps(
            DecordInit={},
            SampleInstances=dict(instance_stride=2, test_mode=True),
            Resize=dict(scale=(112, 112), keep_ratio=False),
            Flip=dict(flip_ratio=0),
        )
    ),
    '10 clips of 32 frames at stride 2, 256 px, 3 crops, no chance': steps(
        SampleFrames=dict(
            clip_len=32, frame_interval=2, num_clips=10, test_mode=True
        ),
        Resize=dict(scale=(-1, 256)),
        ThreeCrop=dict(crop_size=256),
    ),
    '1 clip of 1 frame, 256 px, 1 crop, chance in SampleFrames and '
    'RandomResizedCrop and Flip and ColorJitter': steps(
        SampleFrames=dict(clip_len=1),
        Resize=dict(scale=(float('inf'), 256)),
        RandomResizedCrop={},
        Flip={},
        ColorJitter={},
    ),
    '10 clips of 8 frames, 224 x 112 px, 1 crop, no chance': steps(
        DenseSampleFrames=dict(
            clip_len=8, num_sample_positions=10, test_mode=True
        ),
        CenterCrop=dict(crop_size=(224, 112)),
    ),
    '1 clip, 1 crop, no chance': steps(
        UniformSampleFrames={'test_mode': True}
    ),
    '1 crop, no chance': [],
}


@pytest.mark.parametrize('words', SAMPLINGS)
def test_sampling(words):
    assert sampling_in_words(SAMPLINGS[words]) == words


def test_sampling_of_our_config():
    config = Config.fromfile(ROOT / 'configs/micacl_dfew.py').to_dict()
    found = sampling_in_words(config['test_pipeline'])
    assert found == '16 frames, 4 instances of 4, 112 px, 1 crop, no chance'
    assert 'chance in' in sampling_in_words(config['train_pipeline'])


#: Of the registered ones, by their defaults.
DRAWING = """
    ClipColorJitter ColorJitter DenseSampleFrames Flip ImgAug
    MMUniformSampleFrames MultiScaleCrop RandomCrop RandomErasing
    RandomRescale RandomResizedCrop SampleAVAFrames SampleFrames
    SampleInstances UniformSample UniformSampleFrames
"""


def draws(*steps):
    return 'chance in' in sampling_in_words(steps)


def test_which_registered_transforms_draw():
    there = {
        name
        for name, kind in TRANSFORMS.module_dict.items()
        if kind.__module__.startswith(('mmaction.', 'micacl_mm.'))
    }
    drawing = set(DRAWING.split())
    assert drawing < there
    assert {n for n in there if draws(dict(type=n))} == drawing
    # The class itself, as in a pure-Python config.
    kinds = {n: TRANSFORMS.get(n) for n in there}
    assert {n for n in there if draws(dict(type=kinds[n]))} == drawing
    samplers = [n for n in drawing if 'Sample' in n]
    for name in samplers:
        assert not draws(dict(type=name, test_mode=True))


def test_operations_of_torchvision():
    """Those draw whose source does."""
    transforms = pytest.importorskip('torchvision.transforms')
    for name, kind in vars(transforms).items():
        if inspect.isclass(kind):
            text = inspect.getsource(kind)
            words = ('torch.rand', 'random.', 'get_params', '.uniform_')
            drawn = any(word in text for word in words)
            step = dict(type='TorchVisionWrapper', op=name)
            assert draws(step) == drawn, name


@pytest.mark.parametrize(
    ('step', 'drawn'),
    [
        (dict(type='TorchVisionWrapper', op='ColorJitter'), 'TorchVisionWr'),
        (dict(type='KeyMapper', transforms=[dict(type='Flip')]), 'Flip'),
        (dict(type='TestTimeAug', transforms=[[dict(type='Flip')]]), 'Flip'),
        (dict(type='Flip', flip_ratio=1), ''),
    ],
)
def test_chance_is_the_same_as_settings_and_built(step, drawn):
    with DefaultScope.overwrite_default_scope('mmaction'):
        built = TRANSFORMS.build(step)
    for form in (step, built):
        found = sampling_in_words([form]).partition('chance in ')[2]
        assert found.startswith(drawn) and bool(found) == bool(drawn)


def test_wrapped_and_unknown_operations():
    video = dict(type='PytorchVideoWrapper')  # which is not installed
    assert draws({**video, 'op': 'RandAugment'})
    assert not draws({**video, 'op': 'ShortSideScale'})
    assert draws(dict(type='ImgAug', transforms=[dict(type='Rotate')]))
    # A sampler of a stranger may draw.
    assert draws(dict(type='SampleNobodyKnows'))
    assert not draws(dict(type='SampleNobodyKnows', test_mode=True))
