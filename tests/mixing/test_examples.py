"""The leaves of configs/mixing: pipelines, models, weights, a training."""

import random
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from micacl_mm.models.bag import flatten
from micacl_mm.registry import DATASETS, MODELS
from tests.sets import write_dfew_split

from ..models.helpers import predict, samples
from .examples import (
    COUNTS,
    FACES,
    FOLDER,
    NAMES,
    ROOT,
    SMALL,
    build,
    load,
    load_stock,
    sampler_of,
)


def test_all_leaves_are_tested():
    assert {path.stem for path in FOLDER.glob('*.py')} == set(NAMES)


def test_pipelines_fit_neck_and_backbone(name):
    cfg = load(name)
    assert '://' not in cfg.pretty_text  # nothing to download
    model = cfg.model
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
        built = sampler_of(pipeline)
        assert built.test_mode == (pipeline is cfg.test_pipeline)
        if name in FACES:
            assert built.num_instances == 4
            assert MODELS.build(model.neck).num_instances == 4
        elif model.type == 'Recognizer2D':
            frames = MODELS.build(model.backbone).num_segments
            assert frames == MODELS.build(model.cls_head).num_segments == 8
            assert built.num_clips == 8
        else:
            assert (built.num_clips, built.clip_len) == (1, 4)
        sizes = [step.get('scale', step.get('crop_size')) for step in pipeline]
        assert [s for s in sizes if s][-1] in ((224, 224), 224)
    if name == 'micacl_videomae_dfew':
        assert model.backbone.num_frames == built.instance_len == 4
    form = 'NCHW' if model.type == 'Recognizer2D' else 'NCTHW'
    assert cfg.test_pipeline[-2].input_format == form
    assert model.data_preprocessor.get('format_shape', 'NCHW') == form
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        kind = 'train' if split == 'train' else 'test'
        assert loader.dataset.pipeline == cfg[f'{kind}_pipeline']


def check_samples(cfg, shape):
    """Chance in training alone."""
    for split in ('train', 'val', 'test'):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        found = []
        for seed in (0, 1):
            random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
            found.append(dataset[0]['inputs'])
        assert found[0].shape == shape
        assert torch.equal(*found) == (split != 'train')


def test_faces_come_without_chance_at_test(monkeypatch, tmp_path):
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
    check_samples(load('wian_swin_dfew'), (4, 3, 4, 224, 224))


def test_actions_come_without_chance_at_test(monkeypatch, actions):
    monkeypatch.setenv('MICACL_DATA_ROOT', str(actions))
    check_samples(load('mccl_tsm_actions'), (8, 3, 224, 224))
    check_samples(load('mccl_slowonly_actions'), (1, 3, 4, 224, 224))


def clips_of(cfg, size, videos=1):
    """What the training pipeline gives of some videos, at another size."""
    sampler = sampler_of(cfg.train_pipeline)
    if cfg.model.type == 'Recognizer2D':
        return torch.rand(videos, sampler.num_clips, 3, size, size)
    if hasattr(sampler, 'num_instances'):
        shape = sampler.num_instances, 3, sampler.instance_len
    else:
        shape = sampler.num_clips, 3, sampler.clip_len
    return torch.rand(videos, *shape, size, size)


def image_model(model):
    """The backbone that the stock config has; FrameBackbone holds it."""
    return getattr(model.backbone, 'backbone', model.backbone)


def stock_backbone(name, cfg, changes=None):
    with DefaultScope.overwrite_default_scope(
        'mmpretrain' if name == 'micacl_clip_dfew' else 'mmaction'
    ):
        return MODELS.build({**cfg, **(changes or {})})


def test_models_of_real_size(monkeypatch, name):
    """All channels agree, and published weights of the stock model fit."""
    for layer in (torch.nn.Linear, torch.nn.modules.conv._ConvNd):
        monkeypatch.setattr(layer, 'reset_parameters', lambda _: None)
    cfg, stock = load(name), load_stock(name)
    model = build(cfg)
    scores = predict(model, clips_of(cfg, 64))
    assert scores.shape == (1, cfg.model.cls_head.num_classes)
    if name == 'micacl_clip_dfew':
        theirs = stock.model.vision_backbone
        preprocessor = stock.data_preprocessor
    else:
        theirs = stock.model.backbone
        preprocessor = stock.model.data_preprocessor
        assert cfg.model.cls_head.type == stock.model.cls_head.type
    shapes = [
        {key: value.shape for key, value in part.state_dict().items()}
        for part in (image_model(model), stock_backbone(name, theirs))
    ]
    if name == 'micacl_videomae_dfew':  # their 16 frames begin as our 4 do
        shapes[1]['pos_embed'] = torch.Size([1, 2 * 14**2, 768])
    assert shapes[0] == shapes[1]
    for key in ('mean', 'std'):
        expected = pytest.approx(preprocessor[key], abs=1e-6)
        assert cfg.model.data_preprocessor[key] == expected
    # The same numbers, of models as small as each other.
    changes = {
        key.rpartition('backbone.')[2]: value
        for key, value in SMALL[name].items()
        if 'backbone.' in key
    }
    if 'arch' in changes:
        arch = dict(changes['arch'])
        arch.pop('_delete_')
        changes['arch'] = arch
    if name == 'micacl_videomae_dfew':
        changes['num_frames'] = 4
    monkeypatch.undo()
    ours = image_model(build(load(name, small=True)))
    theirs = stock_backbone(name, theirs, changes)
    state = {k: torch.rand(v.shape) for k, v in ours.state_dict().items()}
    for part in (ours, theirs):
        part.eval()  # which returns None in some of MMAction2's
        part.load_state_dict(state, strict=True)
    images = name in ('micacl_clip_dfew', 'mccl_tsm_actions')
    clips = torch.rand((8, 3, 32, 32) if images else (1, 3, 4, 32, 32))
    with torch.no_grad():
        assert torch.equal(flatten(ours(clips)), flatten(theirs(clips)))


def test_two_steps_and_a_prediction_of_a_small_twin(name):
    cfg = load(name, small=True)
    model = build(cfg)
    model.init_weights()
    still = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert all(n.startswith('backbone.backbone.') for n in still)
    assert bool(still) == (name == 'micacl_clip_dfew')
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    clips = clips_of(cfg, 32, videos=4)
    model.train()
    for step in range(2):
        losses = model(clips, samples([0, 0, 1, 1]), mode='loss')
        assert all(value.isfinite().all() for value in losses.values())
        total, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        for key, parameter in model.named_parameters():
            found = parameter.grad
            assert (found is None) == (key in still), key
            new = not key.startswith('backbone.')
            assert found is None or found.isfinite().all(), key
            # Behind what starts at zero, gradients show in the second step.
            assert not (new and step) or found.any(), key
        optimizer.step()
    contrasts = any(part in name for part in ('mccl', 'micacl'))
    assert ('loss_mccl' in losses) == contrasts
    assert not contrasts or losses['loss_mccl'] > 0
    for key, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[key])
        assert moved != (key in still) or key.startswith('backbone.'), key
    scores = predict(model, clips)
    torch.testing.assert_close(scores.sum(1), torch.ones(4))


@pytest.mark.slow
def test_a_guest_trains_and_tests_on_own_videos(
    tmp_path, actions, monkeypatch
):
    """With the number of classes changed in one line, as the docs say."""
    text = (FOLDER / 'mccl_tsm_actions.py').read_text()
    text = text.replace("'../_base_", f"'{ROOT.as_posix()}/configs/_base_")
    text, times = re.subn(
        r'(?m)^num_classes = \d+  # yours', 'num_classes = 3  #', text
    )
    assert times == 1
    (tmp_path / 'own.py').write_text(text)
    monkeypatch.setenv('MICACL_DATA_ROOT', str(actions))
    cfg = Config.fromfile(tmp_path / 'own.py')
    options = {
        'work_dir': str(tmp_path / 'run'),
        'model.backbone.depth': 18,
        'model.cls_head.in_channels': 512,
        'train_cfg.max_epochs': 1,
        'train_dataloader.batch_size': 4,
        'train_dataloader.dataset.pipeline.5.scale': (48, 48),
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.persistent_workers'] = False
    for split in ('val', 'test'):
        steps = f'{split}_dataloader.dataset.pipeline'
        options |= {f'{steps}.3.scale': (-1, 48), f'{steps}.4.crop_size': 48}
    cfg.merge_from_dict(options)
    runner = Runner.from_cfg(cfg)
    runner.train()
    found = runner.message_hub.get_scalar('train/loss_mccl').data[0]
    assert len(found) == 3 and np.isfinite(found).all()
    metrics = runner.test()
    assert {'acc/UAR', 'acc/WAR', 'acc/recall/2', 'acc/top5'} <= set(metrics)
    assert 'acc/mean1' in metrics
    state = runner.model.state_dict()
    assert state['neck.aux_loss.class_counts'].tolist() == list(COUNTS)
    assert all(value.isfinite().all() for value in state.values())
    assert list((tmp_path / 'run').glob('best_acc_UAR_epoch_*.pth'))
