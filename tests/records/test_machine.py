import subprocess
import sys

import pytest
import torch

from micacl_mm.records import machine


def git(folder, *arguments):
    person = ('-c', 'user.name=a', '-c', 'user.email=a@b')
    return subprocess.run(
        ['git', '-C', str(folder), *person, *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / 'package'
    folder.mkdir()
    (folder / '__init__.py').write_text('')
    git(tmp_path, 'init')
    git(tmp_path, 'add', 'package')
    git(tmp_path, 'commit', '-m', 'first')
    git(tmp_path, 'tag', '-a', 'v1', '-m', 'a tag is no commit')
    return folder


def test_commit(package, tmp_path):
    commit = git(package, 'rev-parse', '--short', 'HEAD')
    assert machine.git_commit(package) == commit
    own = str(package / '__init__.py')
    assert machine.git_commit(package, own) == commit
    (package / 'untracked.py').write_text('')
    assert machine.git_commit(package) == commit
    (package / '__init__.py').write_text('changed')
    assert machine.git_commit(package) == f'{commit}-dirty'
    # A config that is not committed.
    for path in (package / 'mine.py', tmp_path.parent / 'outside.py'):
        found = machine.git_commit(package, str(path))
        assert found == f'{commit}-dirty'


def test_an_installation_in_a_foreign_checkout_has_no_commit(package):
    installed = package / 'site-packages/micacl_mm'
    installed.mkdir(parents=True)
    (installed / '__init__.py').write_text('')
    assert machine.git_commit(installed) == ''


def test_no_checkout_and_no_git(tmp_path, monkeypatch):
    assert machine.git_commit(tmp_path) == ''
    monkeypatch.setenv('PATH', str(tmp_path))
    assert machine.git_commit(tmp_path) == ''


def test_machine(monkeypatch):
    version = torch.__version__.split('+')[0]
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    found = machine.describe_machine()
    cores = machine.count_cores()
    assert found.endswith(f', {cores} cores, 2 threads, torch {version}')
    assert '/' not in found and found[0] not in ', '
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'NVIDIA X')
    assert machine.describe_machine() == f'NVIDIA X, torch {version}'
    monkeypatch.setattr(machine, 'get_world_size', lambda: 8)
    assert machine.describe_machine() == f'NVIDIA X x 8, torch {version}'


def test_command_shows_no_path_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(machine.COMMAND_VARIABLE, raising=False)
    line = ['/v/bin/python3', f'{tmp_path}/tools/test.py', 'c/x.py']
    line += ['--data-root', '/mnt/secret/DFEW', '--work-dir=/home/me/w']
    line += ['--cfg-options', f'load_from={tmp_path}/a b.pth', 'x=1']
    monkeypatch.setattr(sys, 'orig_argv', line)
    assert machine.command_line() == (
        'python tools/test.py c/x.py --data-root DFEW --work-dir=w '
        "--cfg-options 'load_from=a b.pth' x=1"
    )
    for start in (['/v/bin/micacl'], ['-m', 'micacl_mm']):
        line = ['/v/bin/python3', *start, 'train', 'x.py']
        monkeypatch.setattr(sys, 'orig_argv', line)
        assert machine.command_line() == 'micacl train x.py'
    monkeypatch.setenv(machine.COMMAND_VARIABLE, 'python tools/train.py')
    assert machine.command_line() == 'python tools/train.py'
