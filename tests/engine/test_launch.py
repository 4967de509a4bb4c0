import os
import subprocess
import sys
from pathlib import Path

import pytest

from micacl_mm.engine import launch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clean(monkeypatch):
    # setenv first, so that monkeypatch undoes what the code under test sets.
    for variable, _ in launch.OPTIONS.values():
        monkeypatch.setenv(variable, '')
        monkeypatch.delenv(variable)


@pytest.fixture
def stock_call(monkeypatch, clean):
    """The command line that the stock tool would see."""
    seen = []
    monkeypatch.setattr(sys, 'argv', ['ours'])
    monkeypatch.setattr(
        launch.runpy, 'run_path', lambda *_, **__: seen.extend(sys.argv)
    )
    return seen


def test_our_options_become_environment_and_a_work_dir(stock_call):
    launch.run_tool(
        'train', ['c/x.py', '--fold', '3', '--data-root', '/d', '--amp']
    )
    assert os.environ['MICACL_FOLD'] == '3'
    assert os.environ['MICACL_DATA_ROOT'] == '/d'
    assert stock_call[0].endswith('train.py')
    assert stock_call[1:] == [
        *('--seed', '0', '--work-dir', 'work_dirs/x/fold3'),
        *('c/x.py', '--amp'),
    ]


def test_the_users_own_choices_win(stock_call):
    # The stock parser takes the last of two, in either way of writing.
    own = ['x.py', '--work-dir', 'w', '--seed=7']
    launch.run_tool('train', [*own, '--fold', '3'])
    assert stock_call[-4:] == own


def test_folds_from_the_environment_are_kept_apart_too(
    stock_call, monkeypatch
):
    monkeypatch.setenv('MICACL_FOLD', '2')
    launch.run_tool('test', ['x.py', 'y.pth'])
    assert stock_call[1:3] == ['--work-dir', 'work_dirs/x/fold2']


def test_tools_without_a_config_keep_their_own_options(stock_call):
    arguments = ['--subset', 'a', 'folder']
    launch.run_tool('data/build_file_list', arguments)
    assert stock_call[1:] == arguments


def test_options_for_cpu_ranks(monkeypatch):
    joined = []
    distributed = launch.torch.distributed
    monkeypatch.setattr(distributed, 'init_process_group', joined.append)
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: False)
    single = ['x.py', '--cfg-options', 'a=1']
    assert launch.prepare_cpu_ranks(single) == single and not joined
    many = [*single, '--launcher', 'pytorch', '--cfg-options', 'b=2', 'c=3']
    found = launch.prepare_cpu_ranks(many)
    assert joined == ['gloo']
    assert found[: len(many)] == many
    assert 'model_wrapper_cfg.device_ids=None' in found[len(many) :]


def test_positionals_do_not_fall_to_the_option_before(clean):
    for given, expected in (
        ('--resume --data-root D x.py', 'x.py --resume'),
        ('--cfg-options a=1 --fold=2 x.py', 'x.py --cfg-options a=1'),
        (
            'x.py --cfg-options a=1 --fold 2 y.pth',
            'x.py y.pth --cfg-options a=1',
        ),
        ('x.py --resume z.pth --fold 2 --amp', 'x.py --resume z.pth --amp'),
    ):
        assert launch.take_options(given.split()) == expected.split()
    with pytest.raises(SystemExit, match='--fold needs a value'):
        launch.take_options(['x.py', '--fold'])


def test_help_shows_our_options(stock_call, capsys):
    launch.run_tool('train', ['-h'])
    assert '--data-root  folder' in capsys.readouterr().out


def test_options_for_gpu_ranks_are_left_alone(monkeypatch):
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: True)
    arguments = ['x.py', '--launcher', 'pytorch']
    assert launch.prepare_cpu_ranks(arguments) == arguments


def test_test_gets_no_seed(stock_call):
    launch.run_tool('test', ['x.py', 'y.pth', '--dump', 'z.pkl'])
    assert stock_call[1:] == ['x.py', 'y.pth', '--dump', 'z.pkl']


def test_every_stock_tool_is_found():
    for name in ('train', 'test', 'analysis_tools/get_flops'):
        assert launch.stock_tool(name).is_file()
    with pytest.raises(
        FileNotFoundError, match="'nope'.*analysis_tools/get_flops"
    ):
        launch.stock_tool('nope')
    with pytest.raises(FileNotFoundError, match='one of: analysis_tools/g'):
        launch.stock_tool('get_flops')


def test_threads(monkeypatch):
    import torch

    chosen = []
    monkeypatch.setattr(torch, 'set_num_threads', chosen.append)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(6), False)
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    launch.limit_threads()
    assert chosen == [] and os.environ['OMP_NUM_THREADS'] == '5'
    monkeypatch.delenv('OMP_NUM_THREADS')
    launch.limit_threads()
    assert chosen == [3] and os.environ['OMP_NUM_THREADS'] == '3'


@pytest.mark.slow
def test_any_stock_tool_runs_on_our_configs():
    found = subprocess.run(
        [sys.executable, 'tools/mm.py', 'analysis_tools/print_config']
        + ['configs/micacl_dfew.py', '--fold', '4'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert 'fold=4' in found.stdout.replace(' ', '')


@pytest.mark.slow
def test_flops_are_counted():
    found = subprocess.run(
        [sys.executable, 'tools/mm.py', 'analysis_tools/get_flops']
        + ['configs/micacl_demo.py', '--shape', *['4', '3', '4', '48', '48']],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert 'Flops: ' in found.stdout
