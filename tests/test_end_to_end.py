"""Two ranks on the CPU, started as a user does."""

import subprocess
import sys

import pytest
import torch

from .records.tiny import ROOT, write_config, write_set


@pytest.mark.slow
def test_two_ranks_train_on_the_cpu(tmp_path):
    write_set(tmp_path / 'data')
    write_config(tmp_path)
    found = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run']
        + ['--standalone', '--nproc-per-node', '2', ROOT / 'tools/train.py']
        + ['tiny.py', '--data-root', 'data', '--work-dir', 'ranks']
        + ['--launcher', 'pytorch'],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    assert 'acc/UAR' in found.stdout
    state = torch.load(tmp_path / 'ranks/epoch_1.pth', weights_only=True)
    weights = state['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
    assert not any(name.startswith('module.') for name in weights)
