"""The command ``micacl`` in the process; test_outside.py runs it installed."""

import os
import signal
import subprocess
import sys

import pytest

from micacl_mm import cli
from micacl_mm.cli import launch
from micacl_mm.options import find_config

from .conftest import ROOT


@pytest.fixture
def stock_call(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, 'argv', ['micacl'])
    monkeypatch.setattr(
        launch.runpy, 'run_path', lambda *_, **__: seen.extend(sys.argv)
    )
    return seen


@pytest.mark.parametrize(
    'command',
    [
        ['-m', 'micacl_mm'],
        ['-m', 'micacl_mm', '--help'],
        ['tools/train.py', '--help'],
    ],
)
def test_help_does_without_torch(command):
    """Of the whole; that of a command needs its module."""
    if command[0] != '-m':
        command = ['-c', f'import sys; sys.argv = ["{command[0]}"]; {DOOR}']
    found = subprocess.run(
        [sys.executable, '-X', 'importtime', *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert found.returncode == 0, found.stderr[-2000:]
    for name in cli.COMMANDS:
        assert f'\n  {name} ' in found.stdout
    assert ' torch\n' not in found.stderr and 'micacl_mm.cli' in found.stderr


#: What a door does, without a command.
DOOR = (
    'sys.argv[:1] = ["micacl"]; from micacl_mm.cli import main; '
    'sys.exit(main())'
)


def test_every_command_has_a_module_and_the_doors_are_commands():
    folder = ROOT / 'micacl_mm' / 'cli'
    for name in cli.COMMANDS:
        path = folder / name.replace('-', '_')
        assert path.is_dir() or path.with_suffix('.py').is_file()
    doors = {path.stem for path in (ROOT / 'tools').glob('*.py')}
    assert {'train', 'test', 'infer', 'mm'} <= doors <= {*cli.COMMANDS}
    for door in doors:
        text = (ROOT / 'tools' / f'{door}.py').read_text()
        assert f"['micacl', '{door}']" in text


def test_unknown_names_are_answered_with_what_there_is(capsys):
    assert cli.main(['trian', 'config.py']) == 2
    assert "no command 'trian'" in capsys.readouterr().err
    assert cli.main(['mm', 'trian']) == 2
    assert "no tool 'trian'. Fix: try one of" in capsys.readouterr().err
    assert cli.main(['train', 'no_config']) == 2
    assert 'no config no_config. Fix: ' in capsys.readouterr().err
    assert cli.main(['test', 'micacl_demo', 'gone.pth']) == 2
    assert 'no checkpoint gone.pth. Fix: ' in capsys.readouterr().err
    assert cli.main(['train', 'micacl_demo', '--fold', 'one']) == 2
    assert '--fold (MICACL_FOLD) must be' in capsys.readouterr().err


@pytest.mark.parametrize('command', [['train'], ['mm', 'train.py']])
def test_the_tool_gets_what_follows_its_name(
    stock_call, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    line = ['--work-dir', 'w', 'micacl_demo', '--resume']
    assert cli.main([*command, *line]) == 0
    assert stock_call == [
        str(launch.stock_tool('train')),
        *('--seed', '0', '--work-dir', 'w'),
        *(find_config('micacl_demo'), '--resume'),
    ]


def interrupted(*_, **__):
    raise KeyboardInterrupt


def interrupted_while_it_formats_a_config(*_, **__):
    try:
        raise KeyboardInterrupt
    except BaseException:
        raise SyntaxError('Failed to format the config file') from None


@pytest.mark.parametrize(
    'place, function',
    [
        ('micacl_mm.register', interrupted),
        ('micacl_mm.cli.launch.runpy.run_path', interrupted),
        (
            'micacl_mm.cli.launch.runpy.run_path',
            interrupted_while_it_formats_a_config,
        ),
    ],
)
def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys, place, function):
    """A second one changes nothing."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(place, function)
    try:
        assert cli.main(['train', 'micacl_demo']) == 130
        assert capsys.readouterr().err.endswith('micacl train: stopped\n')
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
