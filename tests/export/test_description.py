"""What is written into a file is what the config says."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from micacl_mm.export import describe
from micacl_mm.version import __version__

CONFIGS = Path(__file__).parents[2] / 'configs'
SEVEN = ['Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear']
SAMPLE = dict(type='SampleInstances', num_frames=6, instance_len=2)
RESIZE = dict(type='Resize', scale=(40, 32), keep_ratio=False)
END = [dict(type='FormatShape', input_format='NCTHW')]
END.append(dict(type='PackActionInputs'))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


def model(num_classes=7, average_clips='prob'):
    head = dict(num_classes=num_classes, average_clips=average_clips)
    return SimpleNamespace(cls_head=SimpleNamespace(**head))


def about(*steps, end=END, **kwargs):
    decode = [dict(type='DecordInit'), dict(type='DecordDecode')]
    pipeline = [decode[0], steps[0], decode[1], *steps[1:], *end]
    cfg = dict(
        test_dataloader=dict(dataset=dict(pipeline=pipeline)),
    )
    return describe(ConfigDict(cfg), model(2, 'score'), **kwargs)


def test_the_demo():
    cfg = Config.fromfile(CONFIGS / 'micacl_demo.py')
    shape, metadata = describe(cfg, model(), method='micacl_demo')
    assert shape == (4, 3, 4, 48, 48)
    steps = metadata.pop('pipeline')
    assert [step.split('(')[0] for step in steps] == [
        step['type'] for step in cfg.test_pipeline
    ]
    assert metadata == dict(
        method='micacl_demo',
        version=__version__,
        classes=SEVEN,
        scores='probabilities',
        num_instances=4,
        frames_per_instance=4,
        size=[48, 48],
        num_frames=16,
        windows=[[4 * i + j for j in range(4)] for i in range(4)],
    )


@pytest.mark.parametrize(
    'config, shape',
    [
        ('micacl_ferv39k.py', (4, 3, 4, 112, 112)),
        ('mixing/wian_swin_dfew.py', (4, 3, 4, 224, 224)),
        ('mixing/mccl_tsm_actions.py', (8, 3, 224, 224)),
        ('mixing/mccl_slowonly_actions.py', (1, 3, 4, 224, 224)),
    ],
)
def test_shapes(config, shape):
    found = describe(Config.fromfile(CONFIGS / config), model())
    assert found.shape == shape
    sampled = 'actions' not in config
    assert ('windows' in found.metadata) == sampled
    assert found.metadata['num_instances'] == shape[0]
    length = shape[2] if len(shape) == 5 else 1
    assert found.metadata['frames_per_instance'] == length


def test_windows_that_overlap_height_and_width():
    sample = dict(SAMPLE, instance_len=4, instance_stride=1)
    shape, metadata = about(sample, RESIZE)
    assert shape == (3, 3, 4, 32, 40) and metadata['size'] == [32, 40]
    assert metadata['windows'] == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert metadata['num_frames'] == 6
    assert metadata['scores'] == 'logits'


@pytest.mark.parametrize(
    'resize',
    [
        [dict(RESIZE, interpolation='bicubic')],
        [
            dict(type='Resize', scale=(-1, 64)),
            dict(type='CenterCrop', crop_size=32),
        ],
        [RESIZE, dict(type='Flip', flip_ratio=1)],
        [dict(RESIZE, scale=(8, 8)), RESIZE],
    ],
)
def test_no_recipe_where_more_is_done(resize):
    _, metadata = about(SAMPLE, *resize)
    assert 'windows' not in metadata and 'num_frames' not in metadata


def test_videos_of_different_sizes():
    with pytest.raises(ValueError, match='different sizes.*keep_ratio=False'):
        about(SAMPLE, dict(type='Resize', scale=(-1, 32)))
    found = about(SAMPLE, RESIZE, shape=[3, 3, 2, 8, 8])
    assert found.shape == (3, 3, 2, 8, 8)
    assert 'windows' not in found.metadata


def test_a_pipeline_of_something_else():
    with pytest.raises(ValueError, match='blank frames.*give --shape'):
        about(SAMPLE, dict(type='PreNormalize2D'))
    with pytest.raises(ValueError, match='give --shape'):
        describe(ConfigDict(), None)


@pytest.mark.parametrize('shape', [None, (3, 3, 2, 8, 8)])
@pytest.mark.parametrize(
    'step, match',
    [
        (dict(type='MyCrop'), 'MyCrop .*KeyError.*custom_imports'),
        (dict(type='Resize', sides=3), 'Resize .*TypeError.*sides'),
        (dict(size=3), 'None of the test pipeline cannot be built'),
    ],
)
def test_a_transform_that_cannot_be_built(step, match, shape):
    with pytest.raises(ValueError, match=match):
        about(SAMPLE, RESIZE, step, shape=shape)


def test_classes():
    meta = dict(dataset_meta=dict(classes=('x', 'y')))
    found = about(SAMPLE, RESIZE, checkpoint_meta=meta).metadata
    assert found['classes'] == ['x', 'y']
    found = about(SAMPLE, RESIZE).metadata  # nobody says
    assert found['classes'] == ['class 0', 'class 1']
    meta['dataset_meta']['classes'] = SEVEN
    with pytest.raises(ValueError, match='the 7 classes .* num_classes=2'):
        about(SAMPLE, RESIZE, checkpoint_meta=meta)
    cfg = Config.fromfile(CONFIGS / 'micacl_demo.py')
    meta['dataset_meta']['classes'] = SEVEN[::-1]
    assert describe(cfg, model(), meta).metadata['classes'] == SEVEN[::-1]
