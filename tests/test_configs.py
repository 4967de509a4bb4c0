"""Every config parses; the recipes build, train a step and predict."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import VISBACKENDS, init_default_scope

from micacl_mm.options import SETS
from micacl_mm.registry import HOOKS, METRICS, MODELS, TRANSFORMS

from .models.helpers import samples
from .records import methods

CONFIGS = Path(__file__).parents[1] / 'configs'
RECIPES = sorted(p.relative_to(CONFIGS) for p in CONFIGS.glob('*.py'))
FILES = {p.relative_to(CONFIGS) for p in CONFIGS.rglob('*.py')}
LEAVES = sorted(path for path in FILES if path.parts[0] != '_base_')
COUNTS = [1956, 1515, 2135, 1738, 1175, 116, 721, 300, 30, 3, 1]


@pytest.fixture(params=RECIPES, ids=str)
def cfg(request):
    cfg = Config.fromfile(CONFIGS / request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def set_counts(model):
    for module in model.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(COUNTS[: module.num_classes])


@pytest.mark.parametrize('path', LEAVES, ids=str)
def test_the_rate_is_for_the_batch_of_the_config(path):
    """--auto-scale-lr changes nothing that is not scaled without it."""
    cfg = Config.fromfile(CONFIGS / path)
    scale, batch = cfg.auto_scale_lr, cfg.train_dataloader.batch_size
    assert scale.enable or scale.base_batch_size == batch


def test_reference_recipe():
    cfg = Config.fromfile(CONFIGS / 'micacl_dfew.py')
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.auto_scale_lr.base_batch_size == 128
    optimizer, (warmup, cosine) = (
        cfg.optim_wrapper.optimizer,
        (cfg.param_scheduler),
    )
    assert optimizer == dict(type='AdamW', lr=5e-4, weight_decay=0.05)
    assert warmup.start_factor * optimizer.lr == pytest.approx(1e-5)
    assert (warmup.end, cosine.end, cosine.eta_min) == (10, 300, 3e-6)
    assert cfg.train_cfg.max_epochs == 300


def test_parameters_of_the_reference():
    """63.9 M by the co-author's code, which builds a layer of 512 to 512 in
    each of its 8 cells and never uses it."""
    init_default_scope('mmaction')
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(CONFIGS / 'micacl_dfew.py').model)
    ours = sum(p.numel() for p in model.parameters())
    assert (ours + 8 * (512 + 1) * 512) / 1e6 == pytest.approx(63.9, abs=0.05)


@pytest.mark.parametrize('name', ['dfew', 'ferv39k'])
@pytest.mark.parametrize(
    'method, recipe',
    [('micacl_reference', 'micacl'), ('micacl_plus', 'micacl_plus')],
)
def test_the_leaderboard_has_the_models_of_the_recipes(name, method, recipe):
    cfg = Config.fromfile(CONFIGS / f'{recipe}_{name}.py')
    other = methods.load(name, method)
    assert other.model == cfg.model
    assert other.train_pipeline == cfg.train_pipeline
    assert other.test_pipeline == cfg.test_pipeline


@pytest.mark.parametrize('name', ['micacl_dfew', 'micacl_demo'])
def test_one_training_step_and_a_prediction(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    set_counts(model)
    size = 48  # as good as 112, and faster
    clips = torch.randint(0, 255, (2, 4, 3, 4, size, size), dtype=torch.uint8)
    data = dict(inputs=list(clips), data_samples=samples([0, 0]))
    batch = model.data_preprocessor(copy.deepcopy(data), training=True)
    losses = model(**batch, mode='loss')
    assert {'loss_cls', 'loss_mccl'} <= losses.keys()
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    batch = model.data_preprocessor(data)
    with torch.no_grad():
        scores = [s.pred_score for s in model(**batch, mode='predict')]
    assert all(s.sum().item() == pytest.approx(1, abs=1e-5) for s in scores)


def test_protocol(cfg):
    assert cfg.default_hooks.checkpoint.save_best == 'acc/UAR'
    assert cfg.model.cls_head.average_clips == 'prob'
    assert cfg.model.data_preprocessor.format_shape == 'NCTHW'
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert not loader.sampler.shuffle
        assert not loader.get('drop_last', False)
    assert cfg.val_dataloader.dataset.split == 'val'
    assert cfg.test_dataloader.dataset.split == 'test'
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline):
        sampler = next(t for t in pipeline if t.type == 'SampleInstances')
        built = TRANSFORMS.build(sampler)
        assert built.num_instances == cfg.model.neck.num_instances
        assert built.test_mode == (pipeline is cfg.test_pipeline)
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        assert HOOKS.build(copy.deepcopy(hook)) is not None
    assert METRICS.build(cfg.test_evaluator) is not None


def test_options_reach_the_config(monkeypatch):
    for name, value in (
        ('FOLD', '3'),
        ('DATA_ROOT', "/data/O'Brien/DFEW"),
        ('SOURCE', 'videos'),
        ('VAL_RATIO', '0'),
        ('MISSING', 'drop'),
        ('CLIP_ROOT', '/faces'),
    ):
        monkeypatch.setenv(f'MICACL_{name}', value)
    cfg = Config.fromfile(CONFIGS / 'micacl_dfew.py')
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.fold == 3
        assert dataset.data_root == "/data/O'Brien/DFEW"
        assert dataset.source == 'videos'
        assert dataset.missing == 'drop' and dataset.clip_root == '/faces'
        assert [t.type for t in dataset.pipeline][:3] == [
            'FastVideoInit',
            'SampleInstances',
            'DecordDecode',
        ]
    assert cfg.val_dataloader.dataset.split == 'test'
    monkeypatch.setenv('MICACL_SUBSET', 'Crime')
    cfg = Config.fromfile(CONFIGS / 'micacl_ferv39k.py')
    assert cfg.test_dataloader.dataset.subset == 'Crime'


@pytest.mark.parametrize('track', ['', 'tensorboard', 'wandb'])
def test_tracking(track, monkeypatch):
    """A second backend, in which train/time is not val/time."""
    monkeypatch.setenv('MICACL_TRACK', track)
    cfg = Config.fromfile(CONFIGS / 'micacl_demo.py')
    backends = [VISBACKENDS.get(b.type) for b in cfg.visualizer.vis_backends]
    names = [backend.__name__.lower() for backend in backends]
    expected = [f'{track}visbackend'] if track else []
    assert names == ['localvisbackend', *expected]
    assert cfg.log_processor.log_with_hierarchy == bool(track)


def test_every_base_is_in_use():
    found, ahead = set(), [CONFIGS / leaf for leaf in LEAVES]
    while ahead:
        leaf = ahead.pop()
        found.add(leaf.relative_to(CONFIGS))
        for base in Config._get_base_files(str(leaf)):
            if '::' in base:
                continue
            names = SETS if '{{$MICACL_SET' in base else ['']
            for name in names:
                filled = base.replace('{{$MICACL_SET:synthetic}}', name)
                ahead.append((leaf.parent / filled).resolve())
    assert found == FILES
