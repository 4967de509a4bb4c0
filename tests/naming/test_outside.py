"""Configs outside of this project train in each of the three ways.

With the wheel installed, in a folder of their own, through MMAction2's own
train.py and through ``python -m micacl_mm``.
"""

import json
import math
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import micacl_mm
from micacl_mm.cli.launch import stock_tool
from micacl_mm.registry import MODELS
from micacl_mm.synthetic import make_synthetic

pytestmark = pytest.mark.slow

STOCK = """
from mmaction.datasets.transforms import (
    FormatShape, PackActionInputs, RawFrameDecode, Resize)
from mmaction.models import (
    ActionDataPreprocessor, I3DHead, Recognizer3D, ResNet3dSlowOnly)
from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import IterBasedTrainLoop, LogProcessor, ValLoop
from torch.optim import SGD
"""
OURS = """
from micacl_mm import (
    GEIIM, WIAN, ClassCountsHook, DFEWDataset, MCCLLoss, NeckChain,
    RecallMetric, SampleInstances)
"""
BODY = """
default_scope = 'mmaction'
model = dict(
    type=Recognizer3D,
    backbone=dict(
        type=ResNet3dSlowOnly, depth=18, base_channels=4, pretrained=None),
    neck=dict(
        type=NeckChain,
        necks=[
            dict(type=GEIIM, in_channels=32),
            dict(type=WIAN, in_channels=32, out_channels=16),
        ],
        aux_loss=dict(type=MCCLLoss, num_classes=7, in_channels=16)),
    cls_head=dict(
        type=I3DHead, num_classes=7, in_channels=16, average_clips='prob'),
    data_preprocessor=dict(
        type=ActionDataPreprocessor, mean=[128] * 3, std=[64] * 3,
        format_shape='NCTHW'))
pipeline = [
    dict(type=SampleInstances, num_frames=8, instance_len=2),
    dict(type=RawFrameDecode),
    dict(type=Resize, scale=(32, 32), keep_ratio=False),
    dict(type=FormatShape, input_format='NCTHW'),
    dict(type=PackActionInputs)]
split = dict(type=DFEWDataset, data_root='data', fold=1, pipeline=pipeline)
train_dataloader = dict(
    batch_size=8, num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(split='train', val_ratio=0, **split))
val_dataloader = dict(
    batch_size=8, num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(split='test', test_mode=True, **split))
val_evaluator = dict(type=RecallMetric)
train_cfg = dict(type=IterBasedTrainLoop, max_iters=2, val_interval=2)
val_cfg = dict(type=ValLoop)
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1))
param_scheduler = []
default_hooks = dict(
    logger=dict(type=LoggerHook, interval=1),
    checkpoint=dict(type=CheckpointHook, by_epoch=False, interval=2))
custom_hooks = [dict(type=ClassCountsHook)]
log_processor = dict(type=LogProcessor, window_size=1, by_epoch=False)
randomness = dict(seed=0)
"""
IMPORTS = """
custom_imports = dict(imports=['micacl_mm'], allow_failed_imports=False)
"""
WHERE = """
from importlib.util import find_spec
print(find_spec('micacl_mm').origin)
"""
#: At the start of Python, what makes a stack sound: the modules that the wheel
#: of mmaction2 1.2.0 lacks, and no torchvision, which may not fit torch.
WHOLE = """
import sys, types
sys.modules['torchvision'] = None
for name in ('drn', 'drn.drn'):
    module = types.ModuleType('mmaction.models.localizers.' + name)
    module.__path__, module.DRN = [], object
    sys.modules[module.__name__] = module
"""


def text(prefix):
    """The body with names in place of classes."""

    def name(match):
        where = prefix if hasattr(micacl_mm, match[1]) else ''
        return f"type='{where}{match[1]}'"

    return re.sub(r'\btype=(\w+)', name, BODY)


CONFIGS = {
    'bare': IMPORTS + text(''),
    'dotted': text('micacl_mm.'),
    'new_style': STOCK + OURS + BODY,
}


@pytest.fixture(scope='module')
def place(tmp_path_factory, venv_of_wheel):
    folder = tmp_path_factory.mktemp('outside')
    make_synthetic(folder / 'data', num_clips=35, size=32, folds=(1,))
    for name, config in CONFIGS.items():
        (folder / f'{name}.py').write_text(config)
    (folder / 'whole').mkdir()
    (folder / 'whole/sitecustomize.py').write_text(WHOLE)
    found = venv_of_wheel.run('-c', WHERE, cwd=folder).strip()
    installed = venv_of_wheel.site_packages / 'micacl_mm/__init__.py'
    assert found == str(installed)
    return folder


@pytest.fixture(scope='module')
def losses():
    """The losses of each run so far: equal seeds, equal numbers."""
    return {}


@pytest.mark.parametrize(
    ('config', 'tool', 'whole'),
    [
        ('bare', 'stock', False),
        ('dotted', 'stock', True),
        ('new_style', 'stock', True),
        ('dotted', 'ours', False),
        ('new_style', 'ours', False),
    ],
)
def test_training(venv_of_wheel, place, losses, config, tool, whole):
    command = [stock_tool('train')]
    if tool == 'ours':
        command = ['-m', 'micacl_mm', 'train']
    work_dir = place / f'{config}_{tool}'
    venv_of_wheel.run(
        *(*command, f'{config}.py', '--work-dir', work_dir),
        cwd=place,
        **(dict(PYTHONPATH=place / 'whole') if whole else {}),
    )
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    seen = [
        (line['loss'], line['loss_cls'], line['loss_mccl'])
        for line in lines
        if 'loss' in line
    ]
    assert len(seen) == 2
    assert all(math.isfinite(number) for row in seen for number in row)
    assert 'acc/UAR' in lines[-1]
    saved = torch.load(work_dir / 'iter_2.pth', weights_only=True)
    counts = saved['state_dict']['neck.aux_loss.class_counts']
    assert saved['meta']['iter'] == 2 and counts.sum() > 0
    losses[config, tool] = seen
    assert seen == next(iter(losses.values()))
    # The Runner's own copy of the config makes the same model again.
    dumped = Config.fromfile(work_dir / f'{config}.py')
    init_default_scope(dumped.default_scope)
    model = MODELS.build(dumped.model)
    model.load_state_dict(saved['state_dict'])
