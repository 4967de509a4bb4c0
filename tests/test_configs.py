"""Every config parses, builds and does one step."""

import copy
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import HOOKS, METRICS, MODELS, TRANSFORMS

from .models.helpers import samples

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(p.relative_to(CONFIGS) for p in CONFIGS.glob('*.py'))
COUNTS = [1956, 1515, 2135, 1738, 1175, 116, 721]


@pytest.fixture(params=LEAVES, ids=str)
def cfg(request):
    cfg = Config.fromfile(CONFIGS / request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def test_there_are_configs():
    assert len(LEAVES) >= 4


def test_one_training_step_and_a_prediction(cfg):
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(COUNTS)
    size = min(64, cfg.test_pipeline[-3].scale[0])  # as good, and faster
    clips = torch.randint(0, 255, (2, 4, 3, 4, size, size), dtype=torch.uint8)
    data = dict(inputs=list(clips), data_samples=samples([0, 0]))
    batch = model.data_preprocessor(copy.deepcopy(data), training=True)
    losses = model(**batch, mode='loss')
    has_mccl = 'aux_loss' in cfg.model.neck
    assert ('loss_mccl' in losses) == has_mccl
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    batch = model.data_preprocessor(data)
    with torch.no_grad():
        scores = [s.pred_score for s in model(**batch, mode='predict')]
    assert all(s.sum().item() == pytest.approx(1, abs=1e-5) for s in scores)


def test_instances_of_pipeline_and_neck_agree(cfg):
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
        sampler = next(t for t in pipeline if t.type == 'SampleInstances')
        built = TRANSFORMS.build(sampler)
        assert built.num_instances == cfg.model.neck.num_instances
    sampler = next(t for t in cfg.test_pipeline if 'Sample' in t.type)
    assert sampler.test_mode


def test_protocol(cfg):
    assert cfg.default_hooks.checkpoint.save_best == 'acc/UAR'
    assert cfg.model.cls_head.average_clips == 'prob'
    assert cfg.model.data_preprocessor.format_shape == 'NCTHW'
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert not loader.sampler.shuffle
        assert not loader.get('drop_last', False)
    assert cfg.val_dataloader.dataset.split == 'val'
    assert cfg.test_dataloader.dataset.split == 'test'


def test_hooks_and_metrics_build(cfg):
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        assert HOOKS.build(copy.deepcopy(hook)) is not None
    assert METRICS.build(cfg.test_evaluator) is not None


def test_options_reach_the_config(monkeypatch):
    for name, value in (
        ('FOLD', '3'),
        ('DATA_ROOT', '/data/DFEW'),
        ('SOURCE', 'videos'),
        ('VAL_RATIO', '0'),
        ('MISSING', 'drop'),
        ('CLIP_ROOT', '/faces'),
    ):
        monkeypatch.setenv(f'MICACL_{name}', value)
    cfg = Config.fromfile(CONFIGS / 'micacl_dfew.py')
    dataset = cfg.train_dataloader.dataset
    assert dataset.fold == 3 and dataset.data_root == '/data/DFEW'
    assert dataset.source == 'videos'
    assert dataset.missing == 'drop' and dataset.clip_root == '/faces'
    assert [t.type for t in cfg.test_pipeline][:3] == [
        'FastVideoInit',
        'SampleInstances',
        'DecordDecode',
    ]
    assert cfg.val_dataloader.dataset.split == 'test'
    monkeypatch.setenv('MICACL_SUBSET', 'Crime')
    cfg = Config.fromfile(CONFIGS / 'micacl_ferv39k.py')
    assert cfg.test_dataloader.dataset.subset == 'Crime'


def test_sliding_windows_are_a_matter_of_configuration():
    cfg = Config.fromfile(CONFIGS / 'micacl_demo.py')
    init_default_scope(cfg.default_scope)
    sampler = TRANSFORMS.build(
        dict(type='SampleInstances', instance_len=4, instance_stride=2)
    )
    assert sampler.num_instances == 7
    cfg.model.neck.num_instances = 7
    model = MODELS.build(cfg.model)
    model.neck.aux_loss.set_class_counts(COUNTS)
    clips = torch.rand(2, 7, 3, 4, 32, 32)
    losses = model(clips, samples([0, 0]), mode='loss')
    assert losses['loss_mccl'].isfinite() and losses['loss_cls'].isfinite()


def test_multi_crop_bags_are_averaged():
    cfg = Config.fromfile(CONFIGS / 'micacl_demo.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    for parameter in model.neck.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.eval()
    crops = torch.rand(2, 3, 4, 3, 4, 32, 32)  # (B, crops, M, C, L, H, W)
    with torch.no_grad():
        together = model(crops.flatten(1, 2), samples([0, 1]), mode='predict')
        apart = [
            model(crops[:, i].contiguous(), samples([0, 1]), mode='predict')
            for i in range(3)
        ]
    for video in range(2):
        mean = torch.stack([crop[video].pred_score for crop in apart]).mean(0)
        torch.testing.assert_close(together[video].pred_score, mean)


@pytest.mark.parametrize(
    'neck',
    [
        dict(type='GEIIM', in_channels=64),
        dict(type='WIAN', in_channels=64, out_channels=64),
        dict(type='PassThroughNeck', num_instances=4),
    ],
    ids=lambda neck: neck['type'],
)
def test_each_neck_alone_in_a_stock_recognizer(neck):
    init_default_scope('mmaction')
    model = MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='ResNet3dSlowOnly',
                depth=18,
                base_channels=8,
                pretrained=None,
            ),
            neck=neck,
            cls_head=dict(
                type='I3DHead',
                in_channels=64,
                num_classes=3,
                average_clips='prob',
            ),
        )
    )
    clips, truth = torch.rand(2, 4, 3, 4, 32, 32), samples([0, 2])
    loss = model(clips, truth, mode='loss')['loss_cls']
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    for sample in model.eval()(clips, truth, mode='predict'):
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)


def test_inheritance_is_shallow():
    for base in (CONFIGS / '_base_').rglob('*.py'):
        # One step at most, to a neighbour that has no base itself.
        for name in re.findall(r'_base_ = (.*)', base.read_text()):
            neighbour = re.fullmatch(r"'(\.\.?/\w+\.py)'", name)[1]
            text = (base.parent / neighbour).read_text()
            assert '_base_ =' not in text, base
    for leaf in [*CONFIGS.glob('*.py'), *CONFIGS.glob('leaderboard/*/*.py')]:
        assert len(leaf.read_text().splitlines()) <= 60, leaf


def with_bases(leaves):
    """Paths of configs and of all that they inherit from."""
    found, ahead = set(), [leaf.resolve() for leaf in leaves]
    while ahead:
        leaf = ahead.pop()
        found.add(leaf)
        bases = Config._get_base_files(leaf)
        ahead += [(leaf.parent / base).resolve() for base in bases]
    return {path.relative_to(CONFIGS.resolve()).as_posix() for path in found}


def test_every_base_is_in_use():
    leaves = [p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts]
    files = {p.relative_to(CONFIGS).as_posix() for p in CONFIGS.rglob('*.py')}
    assert with_bases(leaves) == files
