import os
import subprocess
import sys
from pathlib import Path

import pytest

from micacl_mm.cli import launch
from micacl_mm.errors import ConfigError
from micacl_mm.options import OPTIONS, variable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clean(monkeypatch):
    # setenv first, so that monkeypatch undoes what the code under test sets.
    for name in OPTIONS:
        monkeypatch.setenv(variable(name), '')
        monkeypatch.delenv(variable(name))


@pytest.fixture
def stock_call(monkeypatch, clean, tmp_path):
    """The command line that the stock tool would see."""
    seen = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'c').mkdir()
    for name in ('x.py', 'c/x.py', 'y.pth'):
        (tmp_path / name).touch()
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


def test_slurm_ranks_on_the_cpu(monkeypatch):
    joined = []
    distributed = launch.torch.distributed
    monkeypatch.setattr(distributed, 'init_process_group', joined.append)
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: False)
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    for name in names:  # so that monkeypatch undoes what is set below
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    arguments = ['x.py', '--launcher=slurm']
    with pytest.raises(ConfigError, match='SLURM_PROCID is not set'):
        launch.prepare_cpu_ranks(arguments)
    monkeypatch.setenv('SLURM_PROCID', '5')
    monkeypatch.setenv('SLURM_NTASKS', '8')
    monkeypatch.setenv('SLURM_LOCALID', '1')
    monkeypatch.setenv('SLURM_NODELIST', 'node[3-4]')
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, 'node3\nnode4\n')

    monkeypatch.setattr(launch.subprocess, 'run', run)
    found = launch.prepare_cpu_ranks(arguments)
    assert joined == ['gloo'] and asked[0][-1] == 'node[3-4]'
    assert 'model_wrapper_cfg.device_ids=None' in found
    values = [os.environ[name] for name in names]
    assert values == ['5', '8', '1', 'node3', '29500']
    launch.prepare_cpu_ranks(arguments)
    assert len(asked) == 1  # an address that is given is kept


def test_slurm_without_scontrol_asks_for_an_address(monkeypatch):
    for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'):
        monkeypatch.setenv(name, '0')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')  # so that monkeypatch undoes it
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    monkeypatch.setenv('PATH', '')
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ConfigError, match='set MASTER_ADDR'):
        launch.prepare_cpu_ranks(['--launcher', 'slurm'])


@pytest.fixture
def srun(tmp_path, monkeypatch):
    """A slurm that prints how it was called, word by word."""
    path = tmp_path / 'srun'
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$MASTER_PORT" "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')

    def call(*arguments, **environment):
        found = subprocess.run(
            [ROOT / 'tools' / 'slurm_train.sh', *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        return found.returncode, found.stdout.splitlines(), found.stderr

    return call


def test_slurm_script(srun):
    options = ['--data-root', '/a set', '--amp']
    code, (port, *words), _ = srun(
        *('gpus', 'a job', 'configs/micacl_dfew.py', *options),
        GPUS='16',
        PYTHON='python3.11',
        SRUN_ARGS='--time=1-0 --qos=long',
    )
    assert code == 0 and 20000 <= int(port) < 52768
    split = words.index('python3.11')
    assert {
        *('--partition=gpus', '--job-name=a job', '--ntasks=16'),
        *('--ntasks-per-node=8', '--gres=gpu:8', '--time=1-0', '--qos=long'),
    } < set(words[:split])
    assert words[split + 1 : split + 2] == ['-u']
    assert Path(words[split + 2]) == ROOT / 'tools' / 'train.py'
    assert words[split + 3 :] == [
        *('--launcher', 'slurm', 'configs/micacl_dfew.py', *options)
    ]
    few = srun('gpus', 'job', 'x.py', GPUS='2', MASTER_PORT='7')
    assert few[1][0] == '7' and '--ntasks-per-node=2' in few[1]


def test_slurm_script_says_how_it_is_used(srun):
    code, words, said = srun('gpus')
    assert code == 2 and not words
    assert 'PARTITION JOB_NAME CONFIG' in said and 'MASTER_PORT' in said


def test_logit_adjustment_becomes_a_hook_of_the_test():
    given = ['x.py', 'y.pth', '--logit-adjust', '1.5']
    given += ['--class-counts', '9', '1', '--tta']
    name = 'default_hooks.logit_adjustment'
    assert launch.adjust_test(given) == [
        *('x.py', 'y.pth', '--tta', '--cfg-options'),
        f'{name}.type=LogitAdjustmentHook',
        f'{name}.tau=1.5',
        f'{name}.class_counts=[9,1]',
    ]
    assert launch.adjust_test(['x.py', 'y.pth']) == ['x.py', 'y.pth']


def test_help_shows_our_options(stock_call, capsys):
    launch.run_tool('train', ['-h'])
    assert '--data-root      folder' in capsys.readouterr().out


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
