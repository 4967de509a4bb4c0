"""Folds and seeds; the tools that train and test are replaced."""

import csv
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from micacl_mm import cli
from micacl_mm.cli import kfold_runs
from micacl_mm.cli.kfold import parse_options
from micacl_mm.cli.kfold_runs import (
    format_summary,
    make_plan,
    summarise,
)
from micacl_mm.records.record import read_record
from micacl_mm.records.rows import COLUMNS, problems
from tests.records.tiny import ROOT, write_config, write_set

LAST = ('--selection', 'last')
ONE = ('--folds', '1')
#: Makes a config of the leaderboard train for two iterations.
SMALL = [
    'model.backbone.base_channels=2',
    'model.neck.necks.0.in_channels=16',
    'model.neck.necks.1.in_channels=16',
    'model.neck.necks.1.out_channels=16',
    'model.neck.aux_loss.in_channels=16',
    'model.cls_head.in_channels=16',
    'train_cfg.max_epochs=2',
    'train_dataloader.batch_size=14',
    'test_dataloader.batch_size=4',
    *(
        f'{name}_dataloader.{setting}'
        for name in ('train', 'val', 'test')
        for setting in ('num_workers=0', 'persistent_workers=False')
    ),
]


def store(folder, name):
    """A checkpoint, as far as kfold looks into it."""
    torch.save({'message_hub': {'runtime_info': {}}}, Path(folder, name))


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kfold')
    write_set(folder / 'data', (1, 2))
    write_config(folder)
    (folder / 'x.py').touch()
    return folder


@pytest.fixture(autouse=True)
def _in_place(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv('MICACL_DATA_ROOT', 'data')


class Tools:
    """Does what the stock tools leave, and remembers the calls."""

    def __init__(self):
        self.calls, self.commands = [], []
        self.failing, self.hanging = (), None

    def __call__(self, command, *, stdout, env, **_):
        self.commands.append(command)
        tool, *arguments = command[command.index('micacl_mm') + 1 :]
        fold = env.get('MICACL_FOLD', '')
        resumes = '+' if '--resume' in arguments else ''
        self.calls.append(f'{tool}{fold}{resumes}')
        folder = Path(arguments[arguments.index('--work-dir') + 1])
        folder.mkdir(parents=True, exist_ok=True)
        code = 0
        if fold in self.failing:
            lines = '\n'.join(f'line {i}' for i in range(50))
            stdout.write(f'{lines} out of memory\n'.encode())
            code = 3
        elif tool == 'test':
            self.test(folder, arguments, env)
        else:
            store(folder, 'epoch_1.pth')
            store(folder, 'best_acc_UAR_epoch_1.pth')
            (folder / 'last_checkpoint').write_text('epoch_1.pth')
            if self.hanging:
                return self.hanging()
            store(folder, 'epoch_2.pth')
            store(folder, 'best_acc_UAR_epoch_2.pth')
        return SimpleNamespace(wait=lambda: code)

    def test(self, folder, arguments, environment):
        run = json.loads((folder.parent / 'run.json').read_text())
        hits = 4 + 2 * (run['fold'] or 0) + run['seed']
        record = {
            **{k: run[k] for k in ('config_hash', 'seed', 'fold', 'subset')},
            **dict(schema=1, method='from the test', dataset='dfew', epoch=2),
            'selection': 'last' if 'epoch_2' in arguments[1] else 'other',
            'pretraining': 'none',
            'command': environment['MICACL_COMMAND'],
            'classes': ['a', 'b'],
            'metrics': {
                'acc/UAR': (hits / 10 + 0.75) / 2,
                'acc/WAR': (hits + 15) / 30,
            },
            'confusion_matrix': [[hits, 10 - hits], [5, 15]],
        }
        for argument in arguments:
            if argument.startswith('default_hooks.logit_adjustment.tau='):
                record['logit_adjust'] = float(argument.partition('=')[2])
        if 'best_' in arguments[1]:
            record['selection'] = 'val'
        (folder / 'now').mkdir(exist_ok=True)
        (folder / 'now/result.json').write_text(json.dumps(record))

    def taken(self):
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def tools(monkeypatch):
    found = Tools()
    patched = SimpleNamespace(**{**vars(subprocess), 'Popen': found})
    monkeypatch.setattr(kfold_runs, 'subprocess', patched)
    return found


def kfold(*arguments, work_dir):
    return cli.main(['kfold', 'tiny.py', '--work-dir', work_dir, *arguments])


def plan(*arguments):
    return make_plan(parse_options(['tiny.py', *arguments]))


# --- options


def test_defaults():
    found = parse_options(['leaderboard/geiim'])
    assert found.selection == 'val' and found.seeds == [0]
    assert found.folds == [] and found.nproc == 1
    assert found.name is None
    assert found.work_dir == Path('work_dirs/kfold/leaderboard/geiim')
    os.environ['MICACL_SET'] = 'synthetic'
    line = ['configs/leaderboard/micacl_plus.py', '--set', 'dfew']
    found = parse_options(line).work_dir
    assert found == Path('work_dirs/kfold/leaderboard/dfew/micacl_plus')


def test_names_and_options_of_the_stock_tools():
    line = ['--amp', 'x.py', '--cfg-options', 'a=1', 'b=2', '--name', 'A / b']
    line += ['--deterministic', '--cfg-options', 'c=3', '--seeds', '2', '1']
    found = parse_options([*line, *LAST, '--folds', '5', '5'])
    assert found.config == 'x.py' and found.name == 'A / b'
    assert found.work_dir == Path('work_dirs/kfold/A_b')
    assert found.train_options == [
        'optim_wrapper.type=AmpOptimWrapper',
        'optim_wrapper.loss_scale=dynamic',
        'randomness.deterministic=True',
    ]
    assert found.cfg_options == ['a=1', 'b=2', 'c=3']
    assert found.seeds == [1, 2] and found.folds == [5]


def test_the_fields_habit_is_one_switch():
    found = parse_options(['x.py', '--selection', 'test'])
    assert os.environ['MICACL_VAL_RATIO'] == '0'
    assert found.work_dir == Path('work_dirs/kfold/x_chosen_on_test')
    with pytest.raises(ValueError, match='is 0.2. Fix: leave it out'):
        parse_options(['x.py', '--selection', 'test', '--val-ratio', '0.2'])


@pytest.mark.parametrize('name', ['=1+1', '@x', '+a', '-b', ' a', 'a\tb', '‮'])
def test_a_name_that_no_row_may_have_is_refused_before_the_training(name):
    with pytest.raises(ValueError, match='--name must'):
        parse_options(['x.py', f'--name={name}'])


def test_one_fold_and_contradictions():
    assert parse_options(['x.py', '--fold', '2']).folds == [2]
    assert parse_options(['x.py', '--nproc=2']).launcher == 'pytorch'
    for ours in ('--seed', '--resume'):  # set for each run
        with pytest.raises(SystemExit):
            parse_options(['x.py', ours, '1'])


@pytest.mark.parametrize('count', ['0', '-2', '1.5'])
def test_processes_are_one_or_more(capsys, count):
    with pytest.raises(SystemExit):
        parse_options(['x.py', f'--nproc={count}'])
    assert f'--nproc: must be 1 or more, got {count!r}' in (
        capsys.readouterr().err
    )


def test_commands_of_one_and_of_many_processes(tools):
    assert kfold(*ONE, work_dir='one') == 0
    start = [sys.executable, '-m', 'micacl_mm']
    assert [command[:4] for command in tools.commands] == [
        [*start, 'train'],
        [*start, 'test'],
    ]
    many = ('--launcher', 'pytorch', '--nproc', '3')
    assert kfold(*ONE, *many, work_dir='many') == 0
    found = tools.commands[2]
    assert found[1:4] == ['-m', 'torch.distributed.run', '--standalone']
    assert found[4:9] == ['--nproc-per-node', '3', '-m', 'micacl_mm', 'train']
    assert found[-2:] == ['--launcher', 'pytorch']


# --- the plan


def test_all_folds_that_have_split_files():
    runs = plan('--seeds', '0', '1', '--work-dir', 'w')
    folders = [run.folder.as_posix() for run in runs]
    assert folders == [f'w/fold{f}/seed{s}' for f in (1, 2) for s in (0, 1)]
    assert len({run.facts['config_hash'] for run in runs}) == 1
    assert len({run.facts['data set'] for run in runs}) == 2  # by fold


def test_hash_and_name_of_the_plan_follow_the_options():
    def facts(*arguments):
        (run,) = plan(*ONE, *arguments)
        return run.facts['config_hash'], run.facts['method']

    plain, name = facts('--seeds', '3')
    assert name == 'tiny' and facts('--name', 'my') == (plain, 'my')
    told = ('--cfg-options', 'method=told')
    assert facts(*told) == (plain, 'told')
    assert facts(*told, '--name', 'my') == (plain, 'my')
    changed, _ = facts('--cfg-options', 'optim_wrapper.optimizer.lr=1e-5')
    assert len({changed, facts('--amp')[0], plain}) == 3


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--folds', '3'], r'set_3\.csv'),
        (['--folds', '9'], 'fold must be one of'),
        (
            ['--val-ratio', '0'],
            'chooses them on: test. Fix: set val_ratio',
        ),
        (['--no-validate'], 'chooses them on: other'),
        (['--cfg-options', 'custom_hooks=[]'], 'add .*ResultHook'),
        (
            ['--cfg-options', 'default_hooks.checkpoint.save_best=a,b'],
            'needs one best checkpoint',
        ),
        (
            ['--cfg-options', 'test_dataloader.dataset.fold=1'],
            'test_dataloader must follow the fold, 2, got 1',
        ),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(arguments, told):
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        plan(*arguments)


def test_sets_without_folds_run_once_a_seed():
    parts = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    text = "_base_ = ['tiny.py']\n" + ''.join(
        f"{p} = dict(dataset=dict(_delete_=True, type='VideoDataset', "
        "ann_file='a', pipeline=[]))\n"
        for p in parts
    )
    Path('videos.py').write_text(text)
    given = ['videos.py', *LAST, '--work-dir', 'w']
    runs = make_plan(parse_options([*given, '--seeds', '4', '5']))
    assert [run.folder.as_posix() for run in runs] == ['w/seed4', 'w/seed5']
    assert runs[0].name == 'seed 4'
    with pytest.raises(
        ValueError, match='--folds is for sets with folds, but videos.py'
    ):
        make_plan(parse_options([*given, *ONE]))


# --- what it runs


def test_a_resumed_training_starts_from_its_own_checkpoint(tools):
    """And not from the weights that it once started from."""
    option = ('--cfg-options', 'load_from=/w/k400.pth')
    folder = Path('resumed/fold1/seed0')
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (run,) = plan(*ONE, *option, '--work-dir', 'resumed')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'run.json').write_text(json.dumps(run.facts))
        (folder / 'last_checkpoint').write_text(name)
        if name == 'epoch_1.pth':
            (folder / name).write_bytes(b'PK half of one')
        else:
            store(folder, name)
        run.finish()
        (folder / 'val/result.json').unlink()
    first, _, second, _ = tools.commands
    assert '--resume' not in first and 'load_from=None' not in first
    assert '--resume' in second
    assert second.index('load_from=None') > second.index(option[1])


def test_choice_of_the_checkpoint():
    (run,) = plan(*ONE, '--work-dir', 'choice')
    (last,) = plan(*ONE, '--work-dir', 'choice', *LAST)
    run.folder.mkdir(parents=True)
    assert run.choose() is last.choose() is None
    for number, name in enumerate(
        ('best_a_epoch_3.pth', 'best_a_epoch_2.pth', 'epoch_9.pth')
    ):
        store(run.folder, name)
        os.utime(run.folder / name, (number, number))
    store(run.folder, 'epoch_10.pth')
    (run.folder / 'epoch_11.pth').write_bytes(b'PK half of one')
    assert run.choose().name == 'best_a_epoch_2.pth'
    assert last.choose().name == 'epoch_10.pth'


def test_all_runs_then_none_then_what_was_deleted(tools, capsys):
    arguments = ('--name', 'my way')
    assert kfold(*arguments, work_dir='all') == 0
    assert tools.taken() == ['train1', 'test1', 'train2', 'test2']
    text = capsys.readouterr().out
    assert 'cut from the training clips' in text
    assert 'fold 1, seed 0: UAR 67.50, WAR 70.00, epoch 2' in text

    record = Path('all/fold2/seed0/val/result.json')
    before = read_record(record)
    assert before['method'] == 'my way'
    assert before['command'].startswith('python ')
    assert len(list(Path('all').glob('**/result.json'))) == 2
    with open('all/rows.csv') as stream:
        rows = list(csv.DictReader(stream))
    assert [row['UAR'] for row in rows] == ['67.50', '77.50']
    assert tuple(rows[0]) == COLUMNS

    tables = [p.read_text() for p in Path('all').glob('*.*')]
    assert kfold(*arguments, work_dir='all') == 0
    assert tools.taken() == []
    assert 'fold 2, seed 0: finished before' in capsys.readouterr().out
    assert tables == [p.read_text() for p in Path('all').glob('*.*')]

    record.unlink()
    assert kfold(*arguments, work_dir='all') == 0
    assert tools.taken() == ['test2']
    assert read_record(record)['metrics'] == before['metrics']


def test_a_deleted_checkpoint_is_told_without_a_log(tools, capsys):
    assert kfold(*ONE, work_dir='deleted') == 0
    folder = Path('deleted/fold1/seed0')
    for path in [*folder.glob('best_*'), folder / 'val/result.json']:
        path.unlink()
    (folder / 'kfold.log').write_text('of the test before')
    assert kfold(*ONE, work_dir='deleted') == 1
    text = capsys.readouterr().out
    told = 'no checkpoint for --selection val. Fix: delete deleted/fold1'
    assert told in text and 'of the test before' not in text


def test_other_rules_test_the_same_training(tools):
    assert kfold(*ONE, work_dir='rules') == 0
    assert kfold(*ONE, *LAST, work_dir='rules') == 0
    tau = ('--logit-adjust', '1.5')
    assert kfold(*ONE, *LAST, *tau, work_dir='rules') == 0
    assert tools.taken() == ['train1', 'test1', 'test1', 'test1']
    found = {
        path.parts[-2]: read_record(path).get('logit_adjust')
        for path in Path('rules').glob('**/result.json')
    }
    assert found == {'val': None, 'last': None, 'last_adjusted_1.5': 1.5}
    for name in ('rows.csv', 'rows_adjusted_1.5.csv'):
        assert Path('rules', name).is_file()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (['--cfg-options', 'model.cls_head.dropout_ratio=0.5'], 'config_hash'),
        (['--name', 'other'], "method 'tiny', now 'other'"),
        (['--data-root', 'data2'], 'data set '),
    ],
)
def test_a_changed_run_is_refused(tools, capsys, change, told):
    if not Path('changed').exists():
        assert kfold(*ONE, work_dir='changed') == 0
        write_set(Path('data2'), (1,))
        split = Path('data2/EmoLabel_DataSplit/test(single-labeled)/set_1.csv')
        split.write_text(split.read_text().replace('\n134,7', ''))
    tools.taken()
    files = {p: p.stat().st_mtime_ns for p in Path('changed').rglob('*')}
    assert kfold(*ONE, *change, work_dir='changed') == 2
    error = capsys.readouterr().err
    assert told in error and 'choose another --work-dir' in error
    assert tools.taken() == []
    found = {p: p.stat().st_mtime_ns for p in Path('changed').rglob('*')}
    assert found == files


def test_a_training_of_someone_else_is_left_alone(tools, capsys):
    folder = Path('foreign/fold1/seed0')
    folder.mkdir(parents=True)
    (folder / 'epoch_3.pth').write_text('')
    assert kfold(work_dir='foreign') == 2
    assert 'kfold did not start' in capsys.readouterr().err
    assert tools.taken() == [] and (folder / 'epoch_3.pth').exists()


def test_a_failed_run_stops_and_the_others_stay(tools, capsys):
    given = ('--seeds', '0', '1')
    tools.failing = '2'
    assert kfold(*given, work_dir='failed') == 1
    text = capsys.readouterr().out
    assert 'line 49 out of memory' in text and 'line 20' not in text
    assert 'Its log is failed/fold2/seed0/kfold.log' in text
    assert 'train ended with exit code 3' in text
    assert tools.taken() == ['train1', 'test1'] * 2 + ['train2']
    assert not Path('failed/summary.json').exists()
    tools.failing = ()
    assert kfold(*given, work_dir='failed') == 0
    assert tools.taken() == ['train2', 'test2'] * 2
    summary = json.loads(Path('failed/summary.json').read_text())
    assert len(summary['runs']) == 4


def test_another_kfold_between_check_and_start(tools):
    """Each command looks at the folders before it waits for its turn."""
    given = (*ONE, '--work-dir', 'raced')
    (first,), (second,) = plan(*given), plan(*given)
    lr = ('--cfg-options', 'optim_wrapper.optimizer.lr=1e-5')
    (other,) = plan(*given, *lr)
    first.finish()
    assert tools.taken() == ['train1', 'test1']
    second.finish()
    with pytest.raises(ValueError, match='config_hash .*, now'):
        other.finish()
    assert tools.taken() == []


# --- killed and resumed


def begin(tools, work_dir):
    """Start a kfold in a group of its own, of which a training hangs."""
    hangs = Path(f'{work_dir}.pid')

    def hang():
        script = (
            f'import os, time; open({str(hangs)!r}, "w").write(str('
            'os.getpid())); time.sleep(100)'
        )
        return subprocess.Popen([sys.executable, '-S', '-c', script])

    def body():
        os.setsid()
        tools.hanging = hang
        sys.exit(kfold(*ONE, work_dir=work_dir))

    process = multiprocessing.get_context('fork').Process(target=body)
    process.start()
    deadline = time.monotonic() + 60
    while not (hangs.exists() and hangs.read_text()):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    return process, int(hangs.read_text())


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Or dead, and nobody has asked for its end.
    return Path(f'/proc/{pid}/stat').read_text().split(') ')[1][0] == 'Z'


@pytest.mark.parametrize(
    'number, times',
    [
        (signal.SIGINT, 2),
        (signal.SIGTERM, 1),
        (signal.SIGKILL, 1),
    ],
)
def test_a_stopped_kfold_ends_its_tools_and_resumes(
    tools, capfd, number, times
):
    """A second Ctrl-C changes nothing: the tools get their time to end."""
    name = f'stopped{int(number)}_{times}'
    process, tool = begin(tools, name)
    for _ in range(times):
        if number == signal.SIGKILL:  # as the system does to all
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        time.sleep(0.05 * (times - 1))
    process.join(30)
    assert is_gone(tool)
    if number != signal.SIGKILL:
        assert process.exitcode == 130
        out, err = capfd.readouterr()
        assert 'stopped; run the same command to resume' in err
        assert 'Traceback' not in out + err
    assert kfold(*ONE, work_dir=name) == 0
    assert tools.taken() == ['train1+', 'test1']


def test_nohup_is_heeded():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert kfold_runs.run_all([])
    assert signal.signal(signal.SIGHUP, signal.SIG_DFL) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


@pytest.mark.slow
def test_the_command_of_the_page_is_stopped_and_resumed(monkeypatch, capsys):
    """What a licensee of DFEW copies, with a smaller model."""
    page = (ROOT / 'docs/evaluation.md').read_text()
    line = re.search(r'micacl (kfold .*/micacl_plus --set dfew.*)', page)[1]
    words = line.replace('/data/DFEW', 'data').split()
    words += [*ONE, '--work-dir', 'real', '--cfg-options', *SMALL]
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    first = Path('real/fold1/seed0')

    def stop():
        until = time.monotonic() + 300
        while not (first / 'epoch_1.pth').exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    assert cli.main(words) == 130
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
        assert cli.main(calls[-1]) == 0

    monkeypatch.setattr(kfold_runs.Run, '_call', call)
    monkeypatch.setattr(sys, 'argv', ['micacl'])
    assert cli.main(words) == 0
    assert [words[0] for words in calls] == ['train', 'test']
    assert '--resume' in calls[0]
    with open('real/rows.csv') as stream:
        (row,) = csv.DictReader(stream)
    assert not problems(row)
    assert row['dataset'] == 'dfew' and row['method'] == 'micacl_plus'
    assert row['selection'] == 'val' and row['fold'] == '1'
    assert row['clips'] == '7'
    summary = json.loads(Path('real/summary.json').read_text())
    found = 100 * summary['metrics']['UAR']['mean']
    assert found == pytest.approx(float(row['UAR']), abs=0.01)


# --- what it says in the end


def records(*matrices, folds=(1, 2)):
    return [
        dict(
            **dict.fromkeys(('config_hash', 'pretraining'), 'x'),
            **dict(method='m', dataset='dfew', selection='val', epoch=3),
            **dict(fold=fold, seed=0, classes=list('abc'), dropped=2),
            confusion_matrix=matrix,
        )
        for fold, matrix in zip(folds, matrices, strict=False)
    ]


def test_text_of_a_summary():
    # The last class has no clip in one fold, and in none.
    one = [[8, 2, 0], [5, 5, 0], [0, 0, 0]]
    two = [[6, 4, 0], [1, 9, 0], [0, 3, 1]]
    summary = summarise(records(one, two))
    json.dumps(summary, allow_nan=False)
    assert summary['replicates'] == 'folds'
    assert summary['metrics']['recall/c']['count'] == 1
    # Of all clips of all folds together.
    recalls = [14 / 20, 14 / 20, 1 / 4]
    assert summary['pooled']['UAR'] == pytest.approx(sum(recalls) / 3)
    text = format_summary(summary)
    assert 'over 2 folds' in text and 'rather too narrow' in text
    assert '4 clips of the test splits were left out' in text
    text = format_summary(summarise(records(one)))
    assert 'One run has no interval' in text and 'too narrow' not in text
    lines = text.splitlines()
    assert lines[0] == 'm on dfew'
    assert lines[2].split()[:5] == ['1', '0', '3', '65.00', '65.00']
    absent = next(line for line in lines if 'recall/c' in line)
    assert absent.split() == ['recall/c', '-', '-', '+-', '-', '-']
