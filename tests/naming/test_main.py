"""``python -m micacl_mm`` in the process; test_outside.py trains with it."""

import sys
from runpy import run_path

import pytest

from micacl_mm import __main__ as command
from micacl_mm.cli import launch

from .conftest import ROOT


@pytest.fixture
def call(monkeypatch):
    def call(*arguments, main=command.main):
        monkeypatch.setattr(sys, 'argv', ['micacl_mm', *arguments])
        return main()

    return call


def test_usage(call, capsys):
    for flag in ('-h', '--help'):
        call(flag)
        assert 'python -m micacl_mm TOOL' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='python -m micacl_mm TOOL'):
        call()


def test_an_unknown_tool_is_named_with_others(call):
    with pytest.raises(SystemExit, match="no tool 'trian'; .* train,"):
        call('trian', 'config.py')


@pytest.mark.parametrize('name', ['train', 'train.py'])
def test_the_tool_gets_what_follows_its_name(call, monkeypatch, name):
    seen = []
    monkeypatch.setattr(
        launch.runpy, 'run_path', lambda *_, **__: seen.extend(sys.argv)
    )
    call(name, 'config.py', '-h')
    assert seen == [
        str(launch.stock_tool('train')),
        *('--seed', '0', 'config.py', '-h'),
    ]


def test_the_script_is_the_same_command(call):
    script = run_path(str(ROOT / 'tools/mm.py'))
    assert script['main'] is command.main
