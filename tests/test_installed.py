"""The wheel, installed in a folder: shipped files, commands, configs."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from micacl_mm.cli import COMMANDS
from micacl_mm.cli.launch import stock_tool

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, '-m', 'pip', '--isolated', '-q']
OFFLINE = ['--no-deps', '--no-index']


def run(*command, cwd=None, **extra):
    """Run to success, with nothing of this process's own settings."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('MICACL_', 'PYTHON', 'PIP_'))
    }
    found = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        # One thread, for losses that are equal to the last bit.
        env={**env, 'OMP_NUM_THREADS': '1', **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-4000:]
    return found.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    copy = folder / 'source'  # builds leave files in their source
    ignored = shutil.ignore_patterns('__pycache__', '.*', 'tests', 'work_dirs')
    shutil.copytree(ROOT, copy, ignore=ignored)
    build = ['--no-build-isolation', '-w', folder]
    run(*PIP, 'wheel', *OFFLINE, *build, copy)
    (path,) = folder.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def python(wheel, tmp_path_factory):
    """Run Python with the wheel, in a folder of one's own."""
    site = tmp_path_factory.mktemp('site')
    run(*PIP, 'install', *OFFLINE, '--target', site, wheel)

    def python(*arguments, cwd, script=sys.executable):
        where = 'from importlib.util import find_spec as f; '
        where += 'print(f("micacl_mm").origin)'
        path = {'PYTHONPATH': str(site)}
        found = run(sys.executable, '-c', where, cwd=cwd, **path)
        assert found.startswith(str(site))
        return run(script, *arguments, cwd=cwd, **path)

    python.site = site
    return python


def test_the_wheel_has_what_users_run(wheel):
    """OpenMMLab's convention: configs, tools and model index in .mim."""
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = {
        n.split('.mim/')[1] for n in names if n.startswith('micacl_mm/.mim')
    }
    here = {
        path.relative_to(ROOT).as_posix()
        for folder in ('configs', 'tools')
        for path in (ROOT / folder).rglob('*.*')
        if path.suffix != '.pyc' and 'dev' not in path.parts
    }
    assert {*here, 'model-index.yml'} == mim
    index = (ROOT / 'model-index.yml').read_text()
    assert all(name in mim for name in re.findall(r'- (\S+\.yml)', index))
    assert not [n for n in names if n.startswith(('tests', 'tools', 'con'))]


def test_commands_without_a_clone(used, python):
    folder, said = used
    assert '0 FAIL' in said and 'WAR' in said
    assert any(folder.glob('work/plots/*.png'))
    assert (folder / 'found/predictions.csv').is_file()
    script = python.site / 'bin' / 'micacl'
    found = python('--help', cwd=folder, script=script)
    assert {*COMMANDS} <= set(found.split())


# ---- configs outside of this project

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
MODEL = """
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
"""
BODY = f"""
default_scope = 'mmaction'
{MODEL}
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


#: With names of classes, and with the classes themselves.
FORMS = {
    'bare': IMPORTS + re.sub(r'\btype=(\w+)', r"type='\1'", BODY),
    'new_style': STOCK + OURS + BODY,
}


@pytest.fixture(scope='module')
def used(python, tmp_path_factory):
    """A folder after many commands, and what they said.

    In one process, which imports the stack once.
    """
    folder = tmp_path_factory.mktemp('used')
    for form, text in FORMS.items():
        (folder / f'{form}.py').write_text(text)
    model = ['--config', 'micacl_demo', '--checkpoint', 'work/epoch_1.pth']
    data = ['--data-root', 'data', '--work-dir', 'work']
    small = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=4']
    crop = ['story.mp4', 'crops', '--face', 'haar', '--workers', '1']
    calls = [
        ['make-data', 'data', '--clips', '35', '--size', '32', '--folds', '1'],
        ['doctor', 'micacl_demo', *data, '--cfg-options', *small],
        ['train', 'micacl_demo', *data, '--cfg-options', *small],
        ['test', 'micacl_demo', 'work/epoch_1.pth', *data],
        ['plot', 'work', '--features', 'none'],
        ['make-video', 'story.mp4', '--emotions', 'Sad', '--size', '200'],
        ['infer', 'story.mp4', *model, '--out', 'found'],
        ['pack', 'data/Clip/clip_224x224', 'faces.pack'],
        ['crop-faces', *crop],
        ['leaderboard', 'work'],
        ['train', 'new_style.py', '--work-dir', 'new_style'],
    ]
    code = f"""
from micacl_mm.cli import main
import torch
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.2  # see conftest.py
for words in {calls}:
    print('$', *words, flush=True)
    assert main(words) == 0, words
"""
    script = python.site / 'all.py'
    script.write_text(code)
    said = python(script, cwd=folder)
    # Bare names, by MMAction2's own train.py, as mim calls it.
    stock = [stock_tool('train'), 'bare.py', '--work-dir', 'bare']
    python(*stock, cwd=folder)
    made = {'data', 'work', 'story.mp4', 'found', 'faces.pack', 'crops'}
    made |= {*FORMS, *(f'{form}.py' for form in FORMS)}
    assert {*os.listdir(folder)} == made
    return folder, said


def test_configs_of_both_forms_train_alike(used):
    seen = []
    for form in FORMS:
        work_dir = used[0] / form
        (path,) = work_dir.glob('*/vis_data/scalars.json')
        *lines, last = map(json.loads, path.read_text().splitlines())
        names = ('loss', 'loss_cls', 'loss_mccl')
        seen.append([[line[name] for name in names] for line in lines])
        assert len(lines) == 2 and 'acc/UAR' in last
        saved = torch.load(work_dir / 'iter_2.pth', weights_only=True)
        assert saved['state_dict']['neck.aux_loss.class_counts'].sum() > 0
    assert all(map(math.isfinite, sum(seen[0], [])))
    assert seen[0] == seen[1]
