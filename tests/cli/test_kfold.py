"""Folds and seeds, mostly with stand-ins for the stock tools."""

import csv
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from micacl_mm import cli
from micacl_mm.cli.kfold import run as run_module
from micacl_mm.cli.kfold import sweep
from micacl_mm.cli.kfold.options import parse_options
from micacl_mm.cli.kfold.plan import make_plan
from micacl_mm.records.record import read_record
from micacl_mm.records.rows import COLUMNS
from tests.records.tiny import write_config, write_set


def store(folder, name, best=None):
    """A checkpoint, as far as kfold looks into it."""
    known = {'best_ckpt': f'/elsewhere/{best}'} if best else {}
    torch.save({'message_hub': {'runtime_info': known}}, folder / name)


FAKE = Path(__file__).with_name('fake_tool.py')
LAST = ('--selection', 'last')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kfold')
    write_set(folder / 'data', (1, 2))
    write_config(folder)
    store(folder, 'weights.pth', best='best_acc_UAR_epoch_1.pth')
    return folder


@pytest.fixture(autouse=True)
def _in_place(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv('FAKE', raising=False)
    (place / 'calls').unlink(missing_ok=True)
    (place / 'hangs').unlink(missing_ok=True)
    before = dict(os.environ)
    yield  # our options become variables of this process
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def fake(place, monkeypatch):
    """Replace the tools; the calls of them are what this returns."""

    def command(tool, arguments, _):
        files = (str(FAKE), 'weights.pth', 'calls')
        return [sys.executable, *files, tool, *arguments]

    monkeypatch.setattr(run_module, 'tool_command', command)

    def calls():
        found = Path('calls')
        lines = found.read_text().split() if found.exists() else []
        found.unlink(missing_ok=True)
        return lines

    return calls


def kfold(*arguments, work_dir):
    given = ('--data-root', 'data', '--work-dir', work_dir)
    return cli.main(['kfold', 'tiny.py', *given, *arguments])


def plan(*arguments):
    return make_plan(parse_options(['tiny.py', *arguments]))


# ---------------------------------------------------------------- options


def test_defaults():
    found = parse_options(['leaderboard/geiim'])
    assert found.selection == 'val' and found.seeds == [0]
    assert found.folds == [] and found.jobs == found.nproc == 1
    assert found.name is None
    assert found.work_dir == Path('work_dirs/kfold/leaderboard/geiim')


def test_each_set_of_the_leaderboard_has_a_folder(monkeypatch):
    monkeypatch.setenv('MICACL_SET', 'synthetic')
    line = ['configs/leaderboard/micacl_plus.py', '--set', 'dfew']
    found = parse_options(line).work_dir
    assert found == Path('work_dirs/kfold/leaderboard/dfew/micacl_plus')


def test_names_and_options_of_the_stock_tools():
    Path('x.py').touch()
    line = ['--amp', 'x.py', '--cfg-options', 'a=1', 'b=2', '--name', 'A / b']
    line += ['--deterministic', '--cfg-options', 'c=3', '--seeds', '2', '1']
    found = parse_options([*line, '--selection', 'last', '--folds', '5', '5'])
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
    Path('x.py').touch()
    found = parse_options(['x.py', '--selection', 'test'])
    assert os.environ['MICACL_VAL_RATIO'] == '0'
    assert found.work_dir == Path('work_dirs/kfold/x_chosen_on_test')
    with pytest.raises(ValueError, match='is 0.2. Fix: leave it out'):
        parse_options(['x.py', '--selection', 'test', '--val-ratio', '0.2'])


def test_one_fold_and_contradictions():
    Path('x.py').touch()
    assert parse_options(['x.py', '--fold', '2']).folds == [2]
    with pytest.raises(ValueError, match='add --launcher pytorch'):
        parse_options(['x.py', '--nproc=2'])
    for ours in ('--seed', '--resume'):  # set for each run
        with pytest.raises(SystemExit):
            parse_options(['x.py', ours, '1'])


def test_commands_of_one_and_of_many_processes():
    Path('x.py').touch()
    one = parse_options(['x.py'])
    many = parse_options(['x.py', '--launcher', 'pytorch', '--nproc', '3'])
    alone = [sys.executable, '-m', 'micacl_mm', 'test', 'x.py']
    assert run_module.tool_command('test', ['x.py'], one) == alone
    found = run_module.tool_command('test', ['x.py'], many)
    assert found[1:3] == ['-m', 'torch.distributed.run']
    assert found[-8:] == [
        *('--nproc-per-node', '3', '-m', 'micacl_mm', 'test', 'x.py'),
        *('--launcher', 'pytorch'),
    ]


# ------------------------------------------------------------------- plan


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setenv('MICACL_DATA_ROOT', 'data')


def test_all_folds_that_have_split_files(data):
    runs = plan('--seeds', '0', '1', '--work-dir', 'w')
    folders = [run.folder.as_posix() for run in runs]
    assert folders == [f'w/fold{f}/seed{s}' for f in (1, 2) for s in (0, 1)]
    assert len({run.facts['config_hash'] for run in runs}) == 1
    assert len({run.facts['data set'] for run in runs}) == 2  # by fold
    assert [run.environment['MICACL_FOLD'] for run in runs] == list('1122')
    assert 'MICACL_FOLD' not in os.environ


def test_hash_of_the_plan_follows_the_options(data):
    def hashed(*arguments):
        (run,) = plan('--folds', '1', *arguments)
        return run.facts['config_hash']

    plain = hashed()
    assert hashed('--name', 'other') == hashed('--seeds', '3') == plain
    changed = hashed('--cfg-options', 'optim_wrapper.optimizer.lr=1e-5')
    assert len({changed, hashed('--amp'), plain}) == 3


def test_name_of_the_method(data):
    def method(*arguments):
        return plan('--folds', '1', *arguments)[0].facts['method']

    assert method() == 'tiny'
    told = ('--cfg-options', 'method=told')
    assert method(*told) == 'told'
    assert method(*told, '--name', 'mine') == 'mine'


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--folds', '3'], r'set_3\.csv'),
        (['--folds', '9'], 'fold must be one of'),
        (
            ['--val-ratio', '0'],
            'validates on the test split. Fix: set --val-ratio',
        ),
        (['--no-validate'], 'validates on another split'),
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
def test_what_cannot_work_is_refused_before_it_starts(data, arguments, told):
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
    given = ['videos.py', '--selection', 'last', '--work-dir', 'w']
    runs = make_plan(parse_options([*given, '--seeds', '4', '5']))
    assert [run.folder.as_posix() for run in runs] == ['w/seed4', 'w/seed5']
    assert runs[0].environment == {} and runs[0].name == 'seed 4'
    with pytest.raises(ValueError, match='--folds is for DFEW, but videos.py'):
        make_plan(parse_options([*given, '--folds', '1']))


def test_weights_of_the_start_are_not_forgotten(data):
    option = 'load_from=/w/k400.pth'
    (run,) = plan('--folds', '1', '--cfg-options', option)
    assert 'pretraining=Kinetics-400' in run.own_settings


def test_checkpoints_are_those_of_the_safe_hook(data):
    """MMEngine's own could lose one, or a validation, to a kill."""
    safe = 'default_hooks.checkpoint.type=SafeCheckpointHook'
    (run,) = plan('--folds', '1')
    assert safe not in run.own_settings
    stock = 'default_hooks.checkpoint.type=CheckpointHook'
    (run,) = plan('--folds', '1', '--cfg-options', stock)
    assert safe in run.own_settings


def test_a_resumed_training_starts_from_its_own_checkpoint(data, place):
    """And not from the weights that it once started from."""
    given = ('--folds', '1', '--cfg-options', 'load_from=/w/k400.pth')
    (run,) = plan(*given, '--work-dir', 'resumed')
    run.folder.mkdir(parents=True)
    (run.folder / 'epoch_1.pth').write_bytes(b'PK half of one')
    arguments = run._train_arguments()
    assert '--resume' not in arguments and 'load_from=None' not in arguments
    store(run.folder, 'epoch_2.pth')
    arguments = run._train_arguments()
    assert '--resume' in arguments and 'pretraining=Kinetics-400' in arguments
    last = arguments.index('load_from=None')
    assert last > arguments.index('load_from=/w/k400.pth')


def test_choice_of_the_checkpoint(data):
    (run,) = plan('--folds', '1', '--work-dir', 'choice')
    (last,) = plan('--folds', '1', '--work-dir', 'choice', *LAST)
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


# ------------------------------------------------------------ what it runs


def test_all_runs_then_none_then_what_was_deleted(fake, capsys):
    arguments = ('--name', 'my way')
    assert kfold(*arguments, work_dir='all') == 0
    assert fake() == ['train1', 'test1', 'train2', 'test2']
    text = capsys.readouterr().out
    assert 'cut from the training clips' in text
    assert 'fold 1, seed 0: UAR 67.50, WAR 70.00, epoch 2; 1 of 2' in text
    assert ' left\n' in text and '2 of 2 done in 0:00:0' in text

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
    assert fake() == []
    assert 'fold 2, seed 0: finished before' in capsys.readouterr().out
    assert tables == [p.read_text() for p in Path('all').glob('*.*')]

    record.unlink()
    assert kfold(*arguments, work_dir='all') == 0
    assert fake() == ['test2']
    assert read_record(record)['metrics'] == before['metrics']


def test_a_deleted_checkpoint_is_told_without_a_log(fake, capsys):
    assert kfold('--folds', '1', work_dir='deleted') == 0
    folder = Path('deleted/fold1/seed0')
    for path in [*folder.glob('best_*'), folder / 'val/result.json']:
        path.unlink()
    (folder / 'kfold.log').write_text('of the test before')
    assert kfold('--folds', '1', work_dir='deleted') == 1
    text = capsys.readouterr().out
    assert 'no checkpoint for --selection val. Fix: delete deleted/fold1' in (
        text
    )
    assert 'of the test before' not in text


def test_another_rule_tests_the_same_training(fake):
    given = ('--folds', '1')
    assert kfold(*given, work_dir='rules') == 0
    assert kfold(*given, '--selection', 'last', work_dir='rules') == 0
    assert fake() == ['train1', 'test1', 'test1']
    found = [p.parts[-2] for p in Path('rules').glob('**/result.json')]
    assert sorted(found) == ['last', 'val']


def test_adjusted_logits_test_the_same_training(fake, capsys):
    given = ('--folds', '1', '--selection', 'last')
    assert kfold(*given, work_dir='tau') == 0
    assert fake() == ['train1', 'test1']
    assert kfold(*given, '--logit-adjust', '1.5', work_dir='tau') == 0
    assert fake() == ['test1']
    plain, adjusted = (
        read_record(Path(f'tau/fold1/seed0/{name}/result.json'))
        for name in ('last', 'last_adjusted_1.5')
    )
    assert plain.get('logit_adjust') is None
    assert adjusted['logit_adjust'] == 1.5
    for name in ('rows.csv', 'rows_adjusted_1.5.csv'):
        assert Path('tau', name).is_file()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (['--cfg-options', 'model.cls_head.dropout_ratio=0.5'], 'dropout'),
        (['--name', 'other'], "method 'tiny', now 'other'"),
        (['--data-root', 'data2'], 'data set '),
    ],
)
def test_a_changed_run_is_refused(fake, capsys, change, told):
    if not Path('changed').exists():
        assert kfold('--folds', '1', work_dir='changed') == 0
        write_set(Path('data2'), (1,))
        split = Path('data2/EmoLabel_DataSplit/test(single-labeled)/set_1.csv')
        split.write_text(split.read_text().replace('\n134,7', ''))
    fake()
    files = {p: p.stat().st_mtime_ns for p in Path('changed').rglob('*')}
    assert kfold('--folds', '1', *change, work_dir='changed') == 2
    error = capsys.readouterr().err
    assert told in error and 'choose another --work-dir' in error
    assert fake() == []
    found = {p: p.stat().st_mtime_ns for p in Path('changed').rglob('*')}
    assert found == files


def test_a_training_of_someone_else_is_left_alone(fake, capsys):
    folder = Path('foreign/fold1/seed0')
    folder.mkdir(parents=True)
    (folder / 'epoch_3.pth').write_text('')
    assert kfold(work_dir='foreign') == 2
    assert 'kfold did not start' in capsys.readouterr().err
    assert fake() == [] and (folder / 'epoch_3.pth').exists()


@pytest.mark.parametrize('jobs', ['1', '2'])
def test_a_failed_run_stops_and_the_others_stay(
    fake, monkeypatch, capsys, jobs
):
    given = ('--seeds', '0', '1', '--jobs', jobs)
    folder = f'failed{jobs}'
    monkeypatch.setenv('FAKE', 'fail1 fail2')
    assert kfold(*given, work_dir=folder) == 1
    assert fake() == ['train1'] * int(jobs)
    monkeypatch.setenv('FAKE', 'fail2')
    assert kfold(*given, work_dir=folder) == 1
    text = capsys.readouterr().out
    assert 'line 49 out of memory' in text and 'line 20' not in text
    assert f'Its log is {folder}/fold2/seed0/kfold.log' in text
    assert 'train ended with exit code 3' in text
    assert [c for c in fake() if c == 'test1'] == ['test1'] * 2
    assert not Path(folder, 'summary.json').exists()
    monkeypatch.delenv('FAKE')
    assert kfold(*given, work_dir=folder) == 0
    assert sorted(fake()) == ['test2'] * 2 + ['train2'] * 2
    summary = json.loads(Path(folder, 'summary.json').read_text())
    assert len(summary['runs']) == 4


def test_jobs_run_at_the_same_time_and_share_the_cores(fake, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert 'OMP_NUM_THREADS' not in sweep.Processes(2)._environment
    monkeypatch.delenv('OMP_NUM_THREADS')
    monkeypatch.setattr(sweep, 'count_cores', lambda: 16)
    assert sweep.Processes(4)._environment['OMP_NUM_THREADS'] == '2'
    found = sweep.Processes(2)
    log = Path('jobs.log')
    script = 'import os; print(os.environ["OMP_NUM_THREADS"], flush=True)'
    assert found.run([sys.executable, '-c', script], log, {}) == 0
    assert log.read_text().endswith('\n4\n')
    found.end()
    assert found.run([sys.executable, '-c', script], log, {}) == 130
    # Each of the two trainings waits for the other.
    monkeypatch.setenv('FAKE', 'meet')
    more = ('--folds', '1', '--seeds', '0', '1', '--jobs', '2')
    assert kfold(*more, work_dir='meeting') == 0


# ------------------------------------------------------- killed and resumed


def begin(*arguments, work_dir):
    """Start a kfold in a group of its own and wait until a training hangs."""

    def body():
        os.setsid()
        os.environ['FAKE'] = 'hang'
        sys.exit(kfold(*arguments, work_dir=work_dir))

    process = multiprocessing.get_context('fork').Process(target=body)
    process.start()
    deadline = time.monotonic() + 60
    hangs = Path('hangs')
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


def test_a_killed_run_resumes(fake):
    process, tool = begin(work_dir='killed')
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert is_gone(tool)
    assert fake() == ['train1']
    assert kfold(work_dir='killed') == 0
    assert fake() == ['train1+', 'test1', 'train2', 'test2']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_tools_and_says_how_to_go_on(
    fake, capfd, number
):
    name = f'stopped{int(number)}'
    process, tool = begin('--folds', '1', work_dir=name)
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == 130
    assert is_gone(tool)
    assert 'the same command continues from here' in capfd.readouterr().out
    fake()
    assert kfold('--folds', '1', work_dir=name) == 0
    assert fake() == ['train1+', 'test1']


def test_another_kfold_between_check_and_start(fake, data):
    """Each command looks at the folders before it waits for its turn."""
    start = sweep.Processes(1).run
    given = ('--folds', '1', '--work-dir', 'raced')
    (first,), (second,) = plan(*given), plan(*given)
    lr = ('--cfg-options', 'optim_wrapper.optimizer.lr=1e-5')
    (other,) = plan(*given, *lr)
    record = first.execute(start)
    assert second.execute(start) == record
    with pytest.raises(ValueError, match='lr 0.*choose another'):
        other.execute(start)
    assert fake() == ['train1', 'test1']


def test_nohup_is_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sweep._interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_kfold_in_the_folder_is_not_disturbed(fake, capsys):
    process, tool = begin('--folds', '1', work_dir='busy')
    try:
        fake()
        assert kfold('--folds', '1', work_dir='busy') == 1
        text = capsys.readouterr().out
        assert 'another kfold works in busy/fold1/seed0' in text
        assert fake() == []
    finally:
        process.terminate()
        process.join(30)
    assert is_gone(tool)
    assert kfold('--folds', '1', work_dir='busy') == 0
    assert fake() == ['train1+', 'test1']


def test_a_second_interrupt_changes_nothing(fake, capfd, monkeypatch):
    """The tools of the first one still get their time to end."""
    process, tool = begin('--folds', '1', work_dir='twice')
    for _ in range(3):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.1)
    process.join(30)
    assert process.exitcode == 130 and is_gone(tool)
    assert 'Traceback' not in capfd.readouterr().err


# ----------------------------------------------------------- the real thing


def test_help(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(['kfold', '-h'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert '--selection' in text and '--data-root      folder' in text
