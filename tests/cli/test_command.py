"""The command ``micacl``: its help, its errors, and the stock tools."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from micacl_mm import cli
from micacl_mm.cli import launch
from micacl_mm.errors import DependencyError
from micacl_mm.options import find_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """An empty folder."""
    monkeypatch.delenv('OMP_NUM_THREADS', False)
    monkeypatch.setattr(sys, 'argv', ['micacl'])
    monkeypatch.setattr(torch, 'set_num_threads', lambda count: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stock_call(monkeypatch):
    """The command line that the stock tool would see."""
    seen = []
    monkeypatch.setattr(
        launch.runpy, 'run_path', lambda *_, **__: seen.extend(sys.argv)
    )
    return seen


# ---- help


@pytest.mark.parametrize('words', ['--help', 'export -h', 'kfold --help'])
def test_help_does_without_torch(words):
    found = subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', 'micacl_mm']
        + words.split(),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert ' torch\n' not in found.stderr and 'micacl_mm.cli' in found.stderr
    assert 'data-root' in found.stdout or 'make-data' in found.stdout


@pytest.mark.parametrize('name', sorted({*cli.COMMANDS} - {'train', 'test'}))
def test_every_command_has_help(name, capsys):
    with contextlib.suppress(SystemExit):
        assert cli.main([name, '--help']) == 0
    said = capsys.readouterr()
    assert f'micacl {name} ' in said.out and not said.err


def test_help_of_a_stock_tool_has_our_options(stock_call, capsys):
    assert cli.main(['test', '-h']) == 0
    said = capsys.readouterr().out
    assert '--data-root      folder' in said and '--logit-adjust' in said
    assert stock_call[1:] == ['-h']


@pytest.mark.parametrize('name', ['train', 'test'])
def test_the_doors_in_tools_are_commands(name):
    text = (ROOT / 'tools' / f'{name}.py').read_text()
    assert f"['micacl', '{name}']" in text


# ---- errors


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('trian config.py', "no command 'trian'"),
        ('mm trian', "no tool 'trian'. Fix: try one of: "),
        ('mm get_flops', 'try one of: analysis_tools/get_flops.'),
        ('train no_config', 'no config no_config. Fix: give the path of a'),
        ('train micacl_dfw', 'one of: micacl_dfew'),
        ('train leaderboard/wain', 'one of: leaderboard/wian'),
        (
            'infer x --config micacl_dfw --checkpoint b --out o',
            'micacl_dfew',
        ),
        ('test micacl_demo gone.pth', 'no checkpoint gone.pth. Fix: name a'),
        ('test micacl_demo run/epoch_3.pth', 'one of: run/epoch_30.pth'),
        ('export micacl_demo gone.pth', 'no checkpoint gone.pth. Fix: name'),
        ('retrain-classifier micacl_demo a.pth', 'no checkpoint a.pth. Fix:'),
        ('train micacl_demo --fold one', '--fold (MICACL_FOLD) must be'),
        ('export micacl_demo --val-ratio 10% a.pth', '--val-ratio (MICACL_V'),
        ('pack gone a.pack', 'gone'),
    ],
)
def test_wrong_names_are_answered_with_what_there_is(
    place, capsys, words, said
):
    (place / 'run').mkdir()
    for name in ('epoch_30.pth', 'best_acc.pth'):
        (place / 'run' / name).touch()
    assert cli.main(words.split()) == 2
    found = capsys.readouterr().err
    assert said in found
    assert words.startswith('trian') or found.count('\n') == 1


def while_formatting():
    """What MMEngine makes of Ctrl-C while it writes a config."""
    error = SyntaxError('Failed to format the config file')
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ('error', 'code', 'said'),
    [
        (DependencyError('no x', 'install x'), 2, 'no x. Fix: install x.'),
        (PermissionError(13, 'Permission denied', 'w'), 2, "denied: 'w'"),
        (OSError(28, 'No space left on device'), 2, 'No space left'),
        (KeyboardInterrupt(), 130, 'stopped'),
        (while_formatting(), 130, 'stopped'),
        (BrokenPipeError(32, 'Broken pipe'), 2, 'Broken pipe'),  # a worker's
        (FileNotFoundError('of code that is not ours'), None, ''),
        (ValueError('of code that is not ours'), None, ''),
    ],
)
def test_errors_end_in_a_line(monkeypatch, capfd, error, code, said):
    def fail(argv):
        raise error

    monkeypatch.setattr('micacl_mm.cli.train.main', fail)
    before = signal.getsignal(signal.SIGINT)
    try:
        if code is None:
            with pytest.raises(type(error)):
                cli.main(['train'])
            return
        assert cli.main(['train']) == code
        if code == 130:  # a second Ctrl-C changes nothing
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    found = capfd.readouterr().err.strip()
    assert found == (f'micacl train: {error}' if code == 2 else found)
    assert said in found and '\n' not in found


def test_a_reader_that_leaves_ends_it_silently():
    """As ``head`` does."""
    script = (
        'import sys; sys.argv[0] = "micacl"\n'  # does without the stack
        'from micacl_mm import cli\n'
        'from micacl_mm.cli import make_video\n'
        'make_video.main = lambda argv: [print("x" * 99) for _ in range(9999)]'
        '\nraise SystemExit(cli.main(["make-video"]))'
    )
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with subprocess.Popen([sys.executable, '-c', script], **pipe) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b''
    assert process.returncode == 1


@pytest.mark.parametrize(
    ('error', 'code', 'said'),
    [
        (ImportError('no name x'), 2, 'no name x. Fix: run: micacl doctor.'),
        (OSError('no libcudart'), 2, 'no libcudart. Fix: run: micacl doctor.'),
        (KeyboardInterrupt(), 130, 'micacl train: stopped'),
    ],
)
def test_a_stack_that_cannot_be_imported(
    monkeypatch, capsys, error, code, said
):
    def fail():
        raise error

    monkeypatch.setattr('micacl_mm.register', fail)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    assert cli.main(['train', 'micacl_demo']) == code
    assert said in capsys.readouterr().err


# ---- the stock tools


@pytest.mark.parametrize('work_dir', ['w', 'micacl_demo'])
@pytest.mark.parametrize('command', [['train'], ['mm', 'train.py']])
def test_the_tool_gets_what_follows_its_name(stock_call, command, work_dir):
    line = ['--work-dir', work_dir, 'micacl_demo', '--resume']
    assert cli.main([*command, *line]) == 0
    assert stock_call == [
        str(launch.stock_tool('train')),
        *('--seed', '0', '--work-dir', work_dir),
        *(find_config('micacl_demo'), '--resume'),
    ]


@pytest.mark.parametrize('variables', [{}, {'MICACL_FOLD': '3'}])
def test_folds_have_work_dirs_and_the_users_options_win(
    stock_call, place, monkeypatch, variables
):
    for name in ('x.py', 'y.pth'):
        (place / name).touch()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fold = [] if variables else ['--fold', '3']
    # The stock parser takes the last of two, in either way of writing.
    own = ['x.py', '--amp', '--work-dir', 'w', '--seed=7']
    assert launch.run_tool('train', [*own, '--data-root', '/d', *fold]) == 0
    assert os.environ['MICACL_FOLD'] == '3'
    assert os.environ['MICACL_DATA_ROOT'] == '/d'
    default = ['--work-dir', 'work_dirs/x/fold3']
    assert stock_call[1:] == ['--seed', '0', *default, *own]
    stock_call.clear()
    given = ['x.py', 'y.pth', '--dump', 'z.pkl', '--cfg-options', 'a=1', 'b=2']
    launch.run_tool('test', given)
    assert stock_call[1:] == [*default, *given]


def test_tools_without_a_config_keep_their_own_options(stock_call):
    arguments = ['--subset', 'a', 'folder']
    launch.run_tool('data/build_file_list', arguments)
    assert stock_call[1:] == arguments


def test_logit_adjustment_becomes_a_hook_of_the_test(stock_call, place):
    (place / 'y.pth').touch()
    given = ['micacl_demo', 'y.pth', '--logit-adjust', '1.5']
    assert cli.main(['test', *given, '--class-counts', '9', '1', '--tta']) == 0
    name = 'default_hooks.logit_adjustment'
    assert stock_call[2:] == [
        *('y.pth', '--tta', '--cfg-options'),
        f'{name}.type=LogitAdjustmentHook',
        f'{name}.tau=1.5',
        f'{name}.class_counts=[9,1]',
    ]


@pytest.mark.parametrize('gpu', [False, True])
def test_cpu_ranks_are_joined_here(monkeypatch, gpu):
    joined = []
    monkeypatch.setattr(torch.distributed, 'init_process_group', joined.append)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    single = ['x.py', '--cfg-options', 'a=1']
    assert launch.prepare_cpu_ranks(single) == single and not joined
    many = [*single, '--launcher', 'pytorch', '--cfg-options', 'b=2', 'c=3']
    found = launch.prepare_cpu_ranks(many)
    assert found[: len(many)] == many
    more = [] if gpu else ['gloo']
    assert joined == more
    assert ('model_wrapper_cfg.device_ids=None' in found) is not gpu


@pytest.mark.parametrize(('given', 'threads'), [('5', []), (None, [3])])
def test_threads(monkeypatch, given, threads):
    chosen = []
    monkeypatch.setattr(torch, 'set_num_threads', chosen.append)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(6), False)
    if given:
        monkeypatch.setenv('OMP_NUM_THREADS', given)
    launch.limit_threads()
    assert chosen == threads
    assert os.environ['OMP_NUM_THREADS'] == (given or '3')
