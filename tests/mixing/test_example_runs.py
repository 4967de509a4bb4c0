"""A guest trains and tests what configs/mixing gives, by the tools."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from .examples import ACTIONS, COUNTS, ROOT, own_classes


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
@pytest.mark.parametrize('name', ACTIONS)
def test_a_guest_trains_and_tests_on_own_videos(tmp_path, actions, name):
    (tmp_path / 'own.py').write_text(own_classes(name, len(COUNTS)))
    channels = 512 if name == 'mccl_tsm_actions' else 64
    options = [
        '--data-root',
        str(actions),
        '--cfg-options',
        'model.backbone.depth=18',
        f'model.cls_head.in_channels={channels}',
        'train_cfg.max_epochs=2',
        'train_dataloader.batch_size=4',
        'train_dataloader.dataset.pipeline.5.scale=(48,48)',
        'test_evaluator.0.classes=falls,rises,crosses',
    ]
    if name == 'mccl_slowonly_actions':
        options.append('model.backbone.base_channels=8')
    for split in ('train', 'val', 'test'):
        options.append(f'{split}_dataloader.num_workers=0')
        options.append(f'{split}_dataloader.persistent_workers=False')
    for split in ('val', 'test'):
        steps = f'{split}_dataloader.dataset.pipeline'
        options += [f'{steps}.3.scale=(-1,48)', f'{steps}.4.crop_size=48']
    log = run('train.py', tmp_path, '--work-dir', 'run', *options)
    assert f'class counts of the training set: {list(COUNTS)}' in log
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
