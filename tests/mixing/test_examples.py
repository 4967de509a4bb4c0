"""The leaves of configs/mixing: pipelines, models, weights, a training."""

import random
import re
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from micacl_mm.models.bag import flatten
from micacl_mm.registry import DATASETS, MODELS
from tests.sets import write_dfew_split

from ..models.helpers import samples
from .examples import (
    ACTIONS,
    COUNTS,
    FACES,
    FOLDER,
    NAMES,
    ROOT,
    build,
    library,
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


@pytest.mark.parametrize('name', ACTIONS)
def test_options_reach_the_actions(monkeypatch, name):
    monkeypatch.setenv('MICACL_DATA_ROOT', '/actions')
    cfg = load(name)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.data_root == '/actions'
        assert dataset.ann_file == f'{split}.txt'


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


def predict(model, clips):
    model.eval()
    with torch.no_grad():
        found = model(clips, samples([0] * len(clips)), mode='predict')
    return torch.stack([sample.pred_score for sample in found])


def test_models_of_real_size(name):
    """All channels agree, and published weights of the stock model fit."""
    cfg, stock = load(name), load_stock(name)
    model = build(cfg)
    scores = predict(model, clips_of(cfg, 64))
    assert scores.sum().item() == pytest.approx(1, abs=1e-5)
    assert scores.shape == (1, cfg.model.cls_head.num_classes)

    # FrameBackbone holds the one that was trained on pictures.
    ours = getattr(model.backbone, 'backbone', model.backbone)
    if name == 'micacl_clip_dfew':
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            theirs = MODELS.build(stock.model.vision_backbone)
        preprocessor, shape = stock.data_preprocessor, (2, 3, 64, 64)
    else:
        theirs = MODELS.build(stock.model.backbone)
        preprocessor, shape = stock.model.data_preprocessor, (1, 3, 8, 64, 64)
        assert cfg.model.cls_head.type == stock.model.cls_head.type
    state = theirs.state_dict()
    if name == 'micacl_videomae_dfew':
        # Their 16 frames begin as our 4 do.
        state['pos_embed'] = state['pos_embed'][:, : 2 * 14**2]
        assert torch.equal(state['pos_embed'], ours.pos_embed)
        theirs.pos_embed, shape = ours.pos_embed, (1, 3, 4, 64, 64)
    if name == 'mccl_tsm_actions':
        shape = (8, 3, 64, 64)
    ours.load_state_dict(state, strict=True)
    theirs.eval()
    clips = torch.rand(shape)
    with torch.no_grad():
        assert torch.equal(flatten(ours(clips)), flatten(theirs(clips)))
    for key in ('mean', 'std'):
        expected = pytest.approx(preprocessor[key], abs=1e-6)
        assert cfg.model.data_preprocessor[key] == expected


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


@pytest.mark.parametrize('name', [n for n in FACES if 'clip' not in n])
def test_weights_of_a_whole_stock_model_by_load_from(tmp_path, name):
    cfg = load(name, small=True)
    model, other = MODELS.build(cfg.model), cfg.copy().model
    del other['neck']
    other.cls_head.update(num_classes=400, in_channels=48)
    other.cls_head.pop('loss_cls', None)
    if name == 'micacl_videomae_dfew':
        other.backbone.num_frames = 16
    other = MODELS.build(other)
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=other.state_dict()), path)
    load_checkpoint(model, str(path), 'cpu', strict=False)  # the Runner's
    theirs = dict(other.backbone.named_parameters())
    for key, parameter in model.backbone.named_parameters():
        assert torch.equal(parameter, theirs[key]), key


@pytest.mark.parametrize('name', ACTIONS)
def test_weights_of_torchvision(tmp_path, name):
    torchvision = pytest.importorskip('torchvision')
    theirs = torchvision.models.resnet18().state_dict()
    path = str(tmp_path / 'resnet18.pth')
    torch.save(theirs, path)
    cfg = load(name, small=True)
    options = {'model.backbone.pretrained': path}
    if name == 'mccl_tsm_actions':
        options['model.backbone.pretrained2d'] = True
    else:
        options['model.backbone.base_channels'] = 64
        options['model.cls_head.in_channels'] = 512
    cfg.merge_from_dict(options)
    model = MODELS.build(cfg.model)
    model.init_weights()
    convolutions = [
        [value.flatten(2) for key, value in state.items() if value.dim() > 3]
        for state in (theirs, model.backbone.state_dict())
    ]
    assert len(convolutions[0]) == len(convolutions[1]) == 20
    for one, other in zip(*convolutions, strict=True):
        torch.testing.assert_close(other.sum(-1), one.sum(-1))


def openai_names(width, layers, patches):
    """Names and shapes of the image half in a checkpoint of OpenAI."""
    shapes = {
        'class_embedding': (width,),
        'positional_embedding': (patches + 1, width),
        'proj': (width, 512),
        'conv1.weight': (width, 3, 16, 16),
    }
    block = {
        'attn.in_proj_weight': (3 * width, width),
        'attn.in_proj_bias': (3 * width,),
        'attn.out_proj.weight': (width, width),
        'attn.out_proj.bias': (width,),
        'mlp.c_fc.weight': (2 * width, width),
        'mlp.c_fc.bias': (2 * width,),
        'mlp.c_proj.weight': (width, 2 * width),
        'mlp.c_proj.bias': (width,),
    }
    norms = ['ln_pre', 'ln_post']
    for layer in range(layers):
        place = f'transformer.resblocks.{layer}'
        shapes.update({f'{place}.{k}': shape for k, shape in block.items()})
        norms += [f'{place}.ln_1', f'{place}.ln_2']
    for norm in norms:
        shapes.update({f'{norm}.weight': (width,), f'{norm}.bias': (width,)})
    return {f'visual.{k}': torch.rand(shape) for k, shape in shapes.items()}


def test_weights_of_clip(tmp_path):
    pytest.importorskip('mmpretrain')
    folder = library('mmpretrain') / '.mim' / 'tools' / 'model_converters'
    tool = runpy.run_path(str(folder / 'openai-clip_to_mmpretrain-clip.py'))
    path = str(tmp_path / 'clip.pth')
    torch.save(tool['convert_clip'](openai_names(48, 4, 4)), path)
    cfg = load('micacl_clip_dfew', small=True)
    where = 'model.backbone.backbone.init_cfg'
    options = dict(type='Pretrained', checkpoint=path, prefix='visual')
    cfg.merge_from_dict({f'{where}.{k}': v for k, v in options.items()})
    model = MODELS.build(cfg.model)
    model.init_weights()
    theirs = torch.load(path)
    for key, parameter in model.backbone.backbone.named_parameters():
        assert torch.equal(parameter, theirs[f'visual.{key}']), key


def run(tool, folder, *arguments):
    found = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), 'own.py', *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    return found.stdout


@pytest.mark.slow
def test_a_guest_trains_and_tests_on_own_videos(tmp_path, actions):
    """With the number of classes changed in one line, as the docs say."""
    text = (FOLDER / 'mccl_tsm_actions.py').read_text()
    text = text.replace("'../_base_", f"'{ROOT.as_posix()}/configs/_base_")
    text, times = re.subn(
        r'(?m)^num_classes = \d+  # yours', 'num_classes = 3  #', text
    )
    assert times == 1
    (tmp_path / 'own.py').write_text(text)
    options = [
        '--data-root',
        str(actions),
        '--cfg-options',
        'model.backbone.depth=18',
        'model.cls_head.in_channels=512',
        'train_cfg.max_epochs=2',
        'train_dataloader.batch_size=4',
        'train_dataloader.dataset.pipeline.5.scale=(48,48)',
        'test_evaluator.0.classes=falls,rises,crosses',
    ]
    for split in ('train', 'val', 'test'):
        options.append(f'{split}_dataloader.num_workers=0')
        options.append(f'{split}_dataloader.persistent_workers=False')
    for split in ('val', 'test'):
        steps = f'{split}_dataloader.dataset.pipeline'
        options += [f'{steps}.3.scale=(-1,48)', f'{steps}.4.crop_size=48']
    log = run('train.py', tmp_path, '--work-dir', 'run', *options)
    values = re.findall(r' loss_mccl: (\S+)', log)
    assert len(values) == 2 and np.isfinite([float(v) for v in values]).all()
    for metric in ('acc/UAR', 'acc/WAR', 'acc/recall/2', 'acc/top5'):
        assert metric in log
    state = torch.load(tmp_path / 'run/epoch_2.pth')['state_dict']
    assert state['neck.aux_loss.class_counts'].tolist() == list(COUNTS)
    assert all(value.isfinite().all() for value in state.values())
    assert list((tmp_path / 'run').glob('best_acc_UAR_epoch_*.pth'))

    log = run('test.py', tmp_path, 'run/epoch_2.pth', *options)
    assert 'acc/UAR' in log and 'acc/mean1' in log
    for line in ('falls +2 ', 'rises +1 ', 'crosses +1 ', 'WAR +4 '):
        assert re.search(rf'\n{line}', log)
