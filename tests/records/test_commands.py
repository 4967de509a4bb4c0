"""The commands that a licensee of DFEW copies, on a folder like DFEW."""

import csv
import json
import os
import re
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from micacl_mm.cli import main as micacl
from micacl_mm.cli.kfold_runs import Run
from micacl_mm.records.rows import problems

from .tiny import write_set

ROOT = Path(__file__).parents[2]
#: Makes the real config so small that it trains for two iterations.
SMALL = [
    'model.backbone.base_channels=2',
    'model.neck.necks.0.in_channels=16',
    'model.neck.necks.1.in_channels=16',
    'model.neck.necks.1.out_channels=16',
    'model.neck.aux_loss.in_channels=16',
    'model.cls_head.in_channels=16',
    'train_cfg.max_epochs=2',
    'train_dataloader.batch_size=14',
    'train_dataloader.num_workers=1',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.batch_size=4',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]


@pytest.mark.slow
def test_the_dfew_table(tmp_path, monkeypatch, capsys):
    """Stopped by Ctrl-C in the first training, and continued."""
    write_set(tmp_path / 'DFEW')
    page = (ROOT / 'docs/evaluation.md').read_text()
    given = re.search(r'micacl kfold (.*/micacl_plus --set dfew.*)', page)[1]
    given = shlex.split(given)
    given[given.index('/data/DFEW')] = str(tmp_path / 'DFEW')
    given += ['--work-dir', str(tmp_path / 'runs'), '--cfg-options', *SMALL]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    first = Path('runs/fold1/seed0')

    def stop():
        until = time.monotonic() + 300
        while not (first / 'epoch_1.pth').exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    assert micacl(['kfold', *given]) == 130
    thread.join()
    said = capsys.readouterr()
    assert 'run the same command to resume' in said.err
    for text in (said.out, said.err, (first / 'kfold.log').read_text()):
        assert 'Traceback' not in text
    assert not list(first.glob('val/result.json'))

    calls = []

    def call(self, tool, arguments):
        """In this process, which has imported the stack."""
        calls.append([tool, *arguments])
        assert micacl(calls[-1]) == 0

    monkeypatch.setattr(Run, '_call', call)
    monkeypatch.setattr(sys, 'argv', ['micacl'])
    assert micacl(['kfold', *given]) == 0
    assert [words[0] for words in calls] == ['train', 'test']
    assert '--resume' in calls[0]

    with open('runs/rows.csv') as stream:
        (row,) = csv.DictReader(stream)
    assert not problems(row)
    assert row['dataset'] == 'dfew' and row['method'] == 'micacl_plus'
    assert row['selection'] == 'val' and row['fold'] == '1'
    assert row['clips'] == '7'
    summary = json.loads(Path('runs/summary.json').read_text())
    found = 100 * summary['metrics']['UAR']['mean']
    assert found == pytest.approx(float(row['UAR']), abs=0.01)
