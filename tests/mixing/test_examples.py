"""The leaves of configs/mixing: what they promise, what they load."""

import random
import re

import cv2
import numpy as np
import pytest
import torch

from micacl_mm.registry import DATASETS, HOOKS, METRICS, MODELS
from tests.sets import write_dfew_split

from .examples import (
    ACTIONS,
    FACES,
    FOLDER,
    NAMES,
    load,
    own_classes,
    sampler_of,
)

# what stands in the files


def test_all_leaves_are_tested():
    assert {path.stem for path in FOLDER.glob('*.py')} == set(NAMES)


def test_leaves_are_short_and_need_nothing_from_elsewhere(name):
    text = (FOLDER / f'{name}.py').read_text()
    assert len(text.splitlines()) <= 25
    assert text.startswith('# ') and '::' not in text
    assert f'configs/mixing/{name}.py' in text.splitlines()[1]
    bases = re.findall(r"'(\.\./.*\.py)'", text)
    assert len(bases) == 4
    for base in bases:
        assert base.startswith('../_base_/') and (FOLDER / base).is_file()
    whole = load(name).pretty_text
    assert '://' not in whole  # nothing to download


def test_protocol(name):
    cfg = load(name)
    assert cfg.default_hooks.checkpoint.save_best == 'acc/UAR'
    assert cfg.model.cls_head.average_clips == 'prob'
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert not loader.sampler.shuffle
        assert not loader.get('drop_last', False)
        assert loader.dataset.test_mode
        assert loader.dataset.pipeline == cfg.test_pipeline
    assert sampler_of(cfg.test_pipeline).test_mode
    assert not sampler_of(cfg.train_pipeline).test_mode
    assert cfg.train_dataloader.sampler.shuffle
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    assert dict(type='ClassCountsHook') in cfg.custom_hooks
    for hook in cfg.custom_hooks:
        HOOKS.build(dict(hook))
    metrics = cfg.test_evaluator
    metrics = metrics if isinstance(metrics, list) else [metrics]
    kinds = [type(METRICS.build(dict(m))).__name__ for m in metrics]
    assert kinds == ['RecallMetric', 'AccMetric'][: len(kinds)]
    assert ('mccl' in name or 'micacl' in name) == (
        'aux_loss' in cfg.model.neck
    )


def test_pipelines_fit_neck_and_backbone(name):
    cfg = load(name)
    model = cfg.model
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
        built = sampler_of(pipeline)
        if name in FACES:
            assert built.num_instances == 4
            assert MODELS.build(model.neck).num_instances == 4
        elif model.type == 'Recognizer2D':
            frames = (model.backbone.num_segments, model.cls_head.num_segments)
            assert frames == (8, 8) and built.num_clips == 8
        else:
            assert (built.num_clips, built.clip_len) == (1, 4)
        sizes = [step.get('scale', step.get('crop_size')) for step in pipeline]
        assert [s for s in sizes if s][-1] in ((224, 224), 224)
        # What other sizes, lists that were not replaced, would show here.
        assert str(pipeline).count('112') == 0
    length = getattr(built, 'instance_len', None)
    if name == 'micacl_videomae_dfew':
        assert model.backbone.num_frames == length == 4
    if name == 'wian_swin_dfew':
        assert length == 8 and length % model.backbone.patch_size[0] == 0
    form = 'NCHW' if model.type == 'Recognizer2D' else 'NCTHW'
    assert cfg.test_pipeline[-2].input_format == form
    assert model.data_preprocessor.get('format_shape', 'NCHW') == form


@pytest.mark.parametrize('name', FACES)
def test_options_reach_the_faces(monkeypatch, name):
    options = dict(DATA_ROOT='/faces', FOLD='3', SOURCE='videos')
    options.update(VAL_RATIO='0', MISSING='drop', CLIP_ROOT='/aligned')
    for key, value in options.items():
        monkeypatch.setenv(f'MICACL_{key}', value)
    cfg = load(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = loader.dataset
        assert (dataset.data_root, dataset.fold) == ('/faces', 3)
        assert (dataset.missing, dataset.clip_root) == ('drop', '/aligned')
        kinds = [step.type for step in dataset.pipeline]
        assert kinds[0] == 'FastVideoInit'
        assert kinds[1:3] == ['SampleInstances', 'DecordDecode']
    assert cfg.val_dataloader.dataset.split == 'test'


@pytest.mark.parametrize('name', ACTIONS)
def test_options_and_the_number_of_classes_reach_the_actions(
    monkeypatch, tmp_path, name
):
    monkeypatch.setenv('MICACL_DATA_ROOT', '/actions')
    cfg = load(name)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.data_root == '/actions'
        assert dataset.ann_file == f'{split}.txt'
    text = own_classes(name, 7)
    (tmp_path / 'own.py').write_text(text)
    model = cfg.fromfile(tmp_path / 'own.py').model
    assert model.cls_head.num_classes == 7
    assert model.neck.aux_loss.num_classes == 7


# what the pipelines make of files


def samples_of(cfg, split):
    """The first sample twice, under different seeds."""
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    for seed in (0, 1):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        yield dataset[0]['inputs']


def check_samples(cfg, shape):
    first, second = samples_of(cfg, 'train')
    assert first.shape == shape and not torch.equal(first, second)
    for split in ('val', 'test'):
        first, second = samples_of(cfg, split)
        assert first.shape == shape and torch.equal(first, second)


@pytest.mark.parametrize('name', FACES)
def test_faces_come_without_chance_at_test(monkeypatch, tmp_path, name):
    for clip, split in ((1, 'train'), (2, 'test')):
        # More frames than segments, or there would be nothing to choose.
        pictures = tmp_path / f'Clip/clip_224x224/{clip:05d}'
        pictures.mkdir(parents=True)
        for number in range(64):
            grey = np.full((16, 16, 3), 4 * number, np.uint8)
            path = pictures / f'{clip:05d}_{number:05d}.jpg'
            assert cv2.imwrite(str(path), grey)
        write_dfew_split(tmp_path, split, [(clip, 1)])
    monkeypatch.setenv('MICACL_DATA_ROOT', str(tmp_path))
    monkeypatch.setenv('MICACL_VAL_RATIO', '0')
    length = 8 if name == 'wian_swin_dfew' else 4
    check_samples(load(name), (4, 3, length, 224, 224))


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('mccl_tsm_actions', (8, 3, 224, 224)),
        ('mccl_slowonly_actions', (1, 3, 4, 224, 224)),
    ],
)
def test_actions_come_without_chance_at_test(
    monkeypatch, actions, name, shape
):
    monkeypatch.setenv('MICACL_DATA_ROOT', str(actions))
    check_samples(load(name), shape)
