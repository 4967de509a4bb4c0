"""Train and test through the tools, as a user would."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from micacl_mm.synthetic import make_synthetic

ROOT = Path(__file__).parents[1]
EPOCHS = 2
CONFIG = """
_base_ = [{base!r}]
model = dict(
    backbone=dict(base_channels=4),
    neck=dict(
        necks=[
            dict(type='GEIIM', in_channels=32),
            dict(type='WIAN', in_channels=32, out_channels=32),
        ],
        aux_loss=dict(in_channels=32),
    ),
    cls_head=dict(in_channels=32, dropout_ratio=0.0),
)
# Nothing random in the pipeline, so that a resumed run can be compared.
fixed = {{{{_base_.test_pipeline}}}}
loader = dict(batch_size=8, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, dataset=dict(pipeline=fixed))
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs={epochs})
default_hooks = dict(checkpoint=dict(max_keep_ckpts=9))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('end_to_end')
    make_synthetic(folder / 'data', num_clips=40, size=32, folds=(1,))
    base = str(ROOT / 'configs/micacl_demo.py')
    text = CONFIG.format(base=base, epochs=EPOCHS)
    (folder / 'config.py').write_text(text)
    return folder


def command(tool, place, *arguments):
    data = ('--data-root', str(place / 'data'))
    script = str(ROOT / 'tools' / tool)
    return [sys.executable, script, 'config.py', *arguments, *data]


def call(tool, place, *arguments):
    found = subprocess.run(
        command(tool, place, *arguments),
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    return found.stdout


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


@pytest.fixture(scope='module')
def undisturbed(place):
    log = call('train.py', place, '--work-dir', 'whole')
    return place / 'whole', log


def test_training_logs_both_losses_and_keeps_the_counts(undisturbed):
    folder, log = undisturbed
    assert 'loss_cls' in log and 'loss_mccl' in log
    assert 'class counts of the training set' in log
    state = weights(folder / f'epoch_{EPOCHS}.pth')
    counts = state['neck.aux_loss.class_counts']
    assert str(counts.tolist()) in log
    assert all(value.isfinite().all() for value in state.values())
    assert list(folder.glob('best_acc_UAR_epoch_*.pth'))


def test_a_test_prints_and_stores_one_result(place, undisturbed):
    folder, _ = undisturbed
    checkpoint = folder / f'epoch_{EPOCHS}.pth'
    log = call(
        *('test.py', place, str(checkpoint), '--work-dir', 'tested'),
        *('--dump', 'tested/scores.pkl'),
    )
    (path,) = (place / 'tested').glob('*/result.json')
    result = json.loads(path.read_text())
    matrix = torch.tensor(result['confusion_matrix'])
    recalls = matrix.diag() / matrix.sum(1)
    assert result['metrics']['acc/UAR'] == pytest.approx(recalls.mean().item())
    uar = 100 * result['metrics']['acc/UAR']
    assert re.search(rf'UAR +{result["clips"]} +{uar:.2f}\n', log)
    assert result['clips'] == matrix.sum().item()
    listed = place / 'data/EmoLabel_DataSplit/test(single-labeled)/set_1.csv'
    assert result['clips'] == len(listed.read_text().split()) - 1
    assert (path.parent / 'confusion_matrix.png').stat().st_size > 5000
    assert (place / 'tested/scores.pkl').exists()


def test_two_ranks_train_on_the_cpu(place):
    script = command(
        'train.py', place, '--work-dir', 'ranks', '--launcher', 'pytorch'
    )
    found = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run']
        + ['--standalone', '--nproc-per-node', '2', *script[1:]]
        + ['--cfg-options', 'train_cfg.max_epochs=1'],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    assert 'acc/UAR' in found.stdout
    state = weights(place / 'ranks/epoch_1.pth')
    assert all(value.isfinite().all() for value in state.values())
    assert not any(name.startswith('module.') for name in state)
