import os
import subprocess
import sys
import time

import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from micacl_mm.registry import DATASETS, MODELS
from tests.datasets.tree import write_dfew
from tools.dev.benchmark import startup
from tools.dev.benchmark.options import Options
from tools.dev.benchmark.startup import (
    first_iteration_commands,
    make_stock_files,
    run_code,
    wait_for_line,
)

# A child that outlives what started it, as data workers would.
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print('child', child.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as stream:
            return stream.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='looks in /proc')
def test_a_command_is_ended_at_the_line_with_all_its_children(tmp_path):
    code = WITH_CHILD.replace(
        "print('child', child.pid",
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "print('child'",
    )
    start = time.monotonic()
    found = wait_for_line([sys.executable, '-c', code], 'child')
    assert 0 < found <= time.monotonic() - start < 50
    pid = int((tmp_path / 'pid').read_text())
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_a_command_that_ends_too_early_says_its_last_words():
    command = [sys.executable, '-c', "print('no data')"]
    with pytest.raises(RuntimeError, match='no data'):
        wait_for_line(command, 'Epoch(train)')


def test_code_that_fails_is_no_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        run_code('raise SystemExit(3)')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('startup')
    write_dfew(folder / 'data', [(1, 1), (2, 7), (3, 4)])
    return folder, make_stock_files(folder / 'data', folder)


def test_the_stock_config_trains_on_the_same_clips(place):
    _, path = place
    assert 'micacl_mm' not in path.read_text()
    cfg = Config.fromfile(path)
    init_default_scope('mmaction')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    ours = startup.DFEWDataset(
        str(place[0] / 'data'), pipeline=[], split='train'
    )
    assert len(dataset) == len(ours) == 3
    labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
    assert labels == [ours.get_data_info(i)['label'] for i in range(len(ours))]
    model = MODELS.build(cfg.model)
    data = pseudo_collate([dataset[0], dataset[1]])
    data = model.data_preprocessor(data, True)
    losses = model(**data, mode='loss')
    assert losses['loss_cls'].isfinite()


def test_both_commands_name_the_set_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        startup, 'make_synthetic', lambda *args, **kwargs: None
    )
    monkeypatch.setattr(
        startup, 'make_stock_files', lambda root, folder: folder / 'stock.py'
    )
    ours, stock = first_iteration_commands(tmp_path)
    assert str(tmp_path / 'data') in ours
    assert ours[1].endswith('train.py') and os.path.isfile(ours[1])
    assert os.path.isfile(ours[2]) and ours[2].endswith('micacl_demo.py')
    assert 'import micacl_mm' not in stock[2]


def test_figures_compare_in_turn(monkeypatch):
    seconds = iter([4.0, 2.0, 3.0, 2.0])
    monkeypatch.setattr(
        startup,
        'time_in_turn',
        lambda functions, **kwargs: [[next(seconds)], [next(seconds)]],
    )
    monkeypatch.setattr(
        startup, 'first_iteration_commands', lambda folder: [['a'], ['b']]
    )
    found = startup.measure(Options(quick=True))
    assert [f.ratio for f in found] == [2.0, 1.5]
    assert found[0].than == 'mmaction alone'
