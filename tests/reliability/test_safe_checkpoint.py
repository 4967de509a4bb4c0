"""A kill at any moment, a full disk, broken or unsuitable checkpoints."""

import errno
import io
import os
import resource
import shutil
import signal
import zipfile
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from mmengine.fileio import get_file_backend
from mmengine.hooks import Hook

from micacl_mm.hooks import SafeCheckpointHook
from micacl_mm.hooks.safe_checkpoint_hook import (
    find_start,
    is_broken,
    is_whole,
)

from . import noise

EPOCHS = 2


class Steps(Hook):
    """Counts steps of training and validation as moments, too."""

    priority = 'LOWEST'

    def __init__(self, moment):
        self.moment = moment

    def after_train_epoch(self, runner):
        self.moment()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.moment()

    def after_train(self, runner):
        self.moment()


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('noise')
    noise.draw(folder, 6)
    return folder


def make(data, work_dir, *hooks, **kwargs):
    return noise.make_runner(
        data,
        work_dir,
        dict(type='SafeDataHook'),
        *hooks,
        metric='RisingMetric',
        **{'save_best': 'acc/rise', 'epochs': EPOCHS, **kwargs},
    )


def train(*args, **kwargs):
    runner = make(*args, **kwargs)
    runner.train()
    return noise.state(runner)


def stored(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def logged(folder):
    return ''.join(path.read_text() for path in folder.glob('*/*.log'))


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """The outcome of an undisturbed training."""
    folder = tmp_path_factory.mktemp('whole')
    return train(data, folder), stored(folder)


@pytest.fixture(scope='module')
def half(data, tmp_path_factory):
    """A folder after the first of two epochs."""
    folder = tmp_path_factory.mktemp('half') / 'run'
    train(data, folder, epochs=1)
    return folder


@pytest.fixture
def begun(half, tmp_path):
    shutil.copytree(half, tmp_path / 'run')
    return tmp_path / 'run'


def on_disk(folder):
    """Files by name; the log lies in a folder of its own."""
    paths = [path for path in folder.glob('*') if path.suffix != '.lock']
    return {p.name: p.read_bytes() for p in paths if p.is_file()}


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(
    data, whole, tmp_path, monkeypatch
):
    """A kill leaves what is on the disk at that moment."""
    expected, files = whole
    assert files == ['best_acc_rise_epoch_2.pth', 'epoch_2.pth']
    run, states = tmp_path / 'run', {}

    def moment():
        states.setdefault(frozenset(on_disk(run).items()))

    def write(path, obj):
        with path.open('wb') as file:  # half of it, then the rest
            file.write(obj[: len(obj) // 2])
            file.flush()
            moment()
            file.write(obj[len(obj) // 2 :])

    replace, unlink = os.replace, Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', lambda *p: (moment(), replace(*p)))
        patch.setattr(Path, 'write_bytes', write)
        patch.setattr(
            Path, 'unlink', lambda p, **kw: (moment(), unlink(p, **kw))
        )
        train(data, run, Steps(moment))
    moment()
    assert len(states) > 9
    for state in states:
        shutil.rmtree(run)
        run.mkdir()
        for name, content in state:
            (run / name).write_bytes(content)
        assert all(is_whole(run / name) for name in stored(run))
        noise.assert_same(train(data, run, resume=True), expected)
        assert stored(run) == files


def test_a_killed_process(data, whole, begun):
    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        train(data, begun, Steps(kill), resume=True)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    noise.assert_same(train(data, begun, resume=True), whole[0])


# -- Resuming


def test_broken_checkpoints_are_skipped(data, whole, begun):
    note = begun / 'last_checkpoint'
    note.write_text('')  # as MMEngine may leave it
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        (begun / name).write_bytes((begun / 'epoch_1.pth').read_bytes()[:-100])
    (begun / '.epoch_3.pth.7.part').write_bytes(b'half')
    noise.assert_same(train(data, begun, resume=True), whole[0])
    text = logged(begun)
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        assert f'{name} is broken and skipped; resuming from epoch_1' in text
    assert not list(begun.glob('.*.part'))
    assert Path(note.read_text()).name == 'epoch_2.pth'


def test_nothing_whole_means_a_new_start(data, whole, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])
    assert 'No whole checkpoint of this training in' in logged(tmp_path)


class Stopped(Hook):
    """Ends a training before its first checkpoint."""

    def after_train_iter(self, runner, *args, **kwargs):
        raise InterruptedError


def test_older_checkpoints_of_the_folder_are_not_resumed(
    data, whole, half, tmp_path
):
    other, note = tmp_path / 'epoch_6.pth', tmp_path / 'last_checkpoint'
    shutil.copy(half / 'epoch_1.pth', other)
    note.write_text(str(other))
    with pytest.raises(InterruptedError):
        train(data, tmp_path, Stopped())
    assert other.exists() and not note.exists()
    train(data, tmp_path, epochs=1, resume=True)
    assert 'To resume from another one, use --res' in logged(tmp_path)
    note.write_text(str(other))
    # From a checkpoint of another folder, which stays as it is.
    start = str(half / 'epoch_1.pth')
    with pytest.raises(InterruptedError):
        train(data, tmp_path, Stopped(), resume=True, load_from=start)
    assert not note.exists()
    # From an earlier one of this folder.
    note.write_text(str(other))
    earlier = str(shutil.copy(start, tmp_path / 'epoch_0.pth'))
    with pytest.raises(InterruptedError):
        train(data, tmp_path, Stopped(), resume=True, load_from=earlier)
    assert note.read_text() == earlier
    found = train(data, tmp_path, resume=True, load_from=start)
    noise.assert_same(found, whole[0])
    assert other.exists() and note.read_text().endswith('epoch_2.pth')
    assert stored(half) == ['best_acc_rise_epoch_1.pth', 'epoch_1.pth']


def test_a_moved_folder_and_other_names_forget_nothing(
    data, whole, begun, tmp_path
):
    begun = begun.rename(tmp_path / 'new')
    found = train(data, begun, resume=True, filename_tmpl='my_{}.pth')
    noise.assert_same(found, whole[0])
    assert (begun / 'last_checkpoint').read_text() == str(begun / 'my_2.pth')
    assert stored(begun) == [
        *('best_acc_rise_my_2.pth', 'epoch_1.pth', 'my_2.pth')
    ]
    text = logged(begun)
    assert 'have changed' not in text and 'is not there' not in text


@pytest.mark.parametrize(
    ('kind', 'problem'),
    [
        ('best', 'has no optimizer, param_schedulers'),
        ('published', 'has no optimizer, param_schedulers, message_hub'),
        ('weights', 'has no meta, optimizer'),
        ('cut', 'is cut off or damaged'),
    ],
)
def test_what_cannot_be_resumed_is_refused(
    data, half, tmp_path, kind, problem
):
    path = tmp_path / 'start.pth'
    file = torch.load(half / 'epoch_1.pth', weights_only=True)
    if kind == 'best':
        path = next(half.glob('best_*.pth'))
    elif kind == 'published':
        keys = ('meta', 'state_dict')
        torch.save({key: file[key] for key in keys}, path)
    elif kind == 'weights':
        torch.save(file['state_dict'], path)
    else:
        path.write_bytes((half / 'epoch_1.pth').read_bytes()[:-100])
    runner = make(data, tmp_path / 'new', resume=True, load_from=str(path))
    with pytest.raises(ValueError, match=f'--resume .*{problem}.* Fix: res'):
        runner.train()


def test_other_batches_and_a_lost_best_checkpoint_are_warned_of(data, begun):
    (best,) = begun.glob('best_*.pth')
    best.unlink()
    runner = make(data, begun, resume=True)
    runner._train_dataloader['batch_size'] = 2
    runner.train()
    text = logged(begun)
    assert f'{best.name}, the best checkpoint so far, is not there' in text
    assert 'has 2 iterations in 1 epochs, but an epoch now has 3 bat' in text


def test_averaged_weights_are_resumed(data, tmp_path):
    ema = dict(type='EMAHook', momentum=0.3)
    train(data, tmp_path / 'whole', ema)
    train(data, tmp_path / 'cut', ema, epochs=1)
    train(data, tmp_path / 'cut', ema, resume=True)
    one, other = (
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)
        for name in ('whole', 'cut')
    )
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name


# -- Who may write


def test_a_second_training_in_the_folder_is_refused(data, tmp_path):
    lock = tmp_path / '.training.lock'
    with FileLock(lock, is_singleton=False):
        with pytest.raises(ValueError, match='another training is running'):
            train(data, tmp_path, epochs=1)
        assert not stored(tmp_path)
    train(data, tmp_path, epochs=1)
    with FileLock(lock, timeout=0, is_singleton=False):  # it is free again
        pass


@pytest.mark.parametrize(
    ('metric', 'best'),
    [
        ('AccMetric', 'acc/UAR'),
        ('RecallMetric', 'val/UAR'),
        ('ConfusionMatrix', 'acc/UAR'),
        ('RecallMetric', ['acc/UAR', 'acc/top1']),
    ],
)
def test_a_metric_that_there_is_not_is_known_at_the_start(
    data, tmp_path, metric, best
):
    runner = noise.make_runner(data, tmp_path, metric=metric, save_best=best)
    with pytest.raises(ValueError, match=f'save_best=.* metric of {metric}'):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize(
    ('metric', 'best'),
    [
        ('AccMetric', 'acc/top1'),
        ('RecallMetric', ['acc/recall/b', 'acc/F1']),
    ],
)
def test_the_metrics_that_there_are(data, tmp_path, metric, best):
    noise.make_runner(
        data, tmp_path, metric=metric, save_best=best, epochs=1
    ).train()
    text = logged(tmp_path)
    assert 'The best checkpoint' in text or stored(tmp_path)
    # Nor lines about MMEngine's own old classes.
    assert 'FileClient' not in text and 'HardDiskBackend' not in text


def test_a_validation_alone_stores_nothing(data, tmp_path):
    for save_best in (None, 'acc/UAR'):
        runner = noise.make_runner(data, tmp_path, save_best=save_best)
        assert 'acc/UAR' in runner.val()
    assert not stored(tmp_path)


def test_a_test_beside_a_training_touches_nothing(data, begun):
    part = begun / '.epoch_2.pth.1.part'
    part.write_bytes(b'half')
    make(data, begun, resume=True).test()
    assert part.exists()


@pytest.mark.parametrize(
    'argument',
    [
        dict(backend_args=dict(backend='local')),
        dict(file_client_args=dict(backend='disk')),
        dict(out_dir='s3://bucket'),
    ],
    ids=str,
)
def test_other_backends_are_refused(argument):
    with pytest.raises(ValueError, match='work directory.*use CheckpointHook'):
        SafeCheckpointHook(**argument)


# -- Files


@pytest.mark.parametrize('number', [1, 2])  # epoch, best
def test_a_full_disk_keeps_what_there_is(
    data, whole, begun, monkeypatch, number
):
    before = {path.name: path.read_bytes() for path in begun.glob('*.pth')}
    count, write = [], Path.write_bytes

    def fill(path, obj):
        count.append(1)
        write(path, obj if len(count) < number else obj[:500])
        if len(count) >= number:
            raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', fill)
        with pytest.raises(OSError, match='needs .* MiB, but the disk is'):
            train(data, begun, resume=True, max_keep_ckpts=2)
    assert all(map(is_whole, begun.glob('*.pth')))
    for name, content in before.items():
        assert (begun / name).read_bytes() == content
    assert not list(begun.glob('.*.part'))
    noise.assert_same(train(data, begun, resume=True), whole[0])


def put(data, path):
    backend = get_file_backend(backend_args=dict(backend='atomic'))
    backend.put(data, path)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_real_limit_of_the_system(tmp_path):
    path = tmp_path / 'new folder' / 'a.pth'
    put(b'new', path)
    put(b'old', path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match='ulimit -f') as caught:
            put(bytes(1 << 20), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b'old' and names(path.parent) == ['a.pth']


def test_every_part_of_a_checkpoint_is_broken(tmp_path):
    file, path = io.BytesIO(), tmp_path / 'epoch_1.pth'
    torch.save({'weights': torch.zeros(64, 64)}, file)
    data = file.getvalue()
    path.write_bytes(data)
    assert is_whole(path) and not is_broken(path)
    for length in (*range(0, len(data) - 1, 997), len(data) - 1):
        path.write_bytes(data[:length])
        assert not is_whole(path) and is_broken(path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda it: it.file_size)
    hole = largest.header_offset + 2048
    path.write_bytes(data[:hole] + b'\x01' * 64 + data[hole + 64 :])
    assert not is_whole(path) and is_broken(path)
    assert not is_whole(tmp_path / 'absent.pth')
    torch.save({}, path, _use_new_zipfile_serialization=False)
    assert not is_broken(path)  # another format


def started(folder, note):
    (folder / 'last_checkpoint').write_text(note)
    found, broken = find_start(folder / 'last_checkpoint', 'epoch_{}.pth')
    return found and found.name, [path.name for path in broken]


def test_the_newest_whole_checkpoint(tmp_path):
    assert started(tmp_path, '') == (None, [])
    for number in (2, 9, 10, 11):
        path = tmp_path / f'epoch_{number}.pth'
        torch.save({}, path)
        os.utime(path, (number, number))
    for name in ('best_acc_epoch_12.pth', 'iter_13.pth', 'epoch_x.pth'):
        torch.save({}, tmp_path / name)
    torch.save({}, tmp_path / 'epoch_20.pth')
    os.utime(tmp_path / 'epoch_20.pth', (1, 1))  # of an older training
    assert started(tmp_path, '') == ('epoch_11.pth', [])
    for number in (10, 11):
        path = tmp_path / f'epoch_{number}.pth'
        path.write_bytes(path.read_bytes()[:-9])
        os.utime(path, (number, number))
    broken = ['epoch_11.pth', 'epoch_10.pth']
    assert started(tmp_path, '') == ('epoch_9.pth', broken)


@pytest.mark.parametrize(
    ('note', 'start'),
    [
        ('epoch_2.pth', 'epoch_2.pth'),  # and not the old epoch_6.pth
        ('/moved/epoch_2.pth', 'epoch_2.pth'),
        ('', 'epoch_2.pth'),
        ('epoch_5.pth', 'epoch_2.pth'),  # absent
        ('epoch_4.pth', 'epoch_2.pth'),  # broken
        ('epoch_1.pth', 'epoch_1.pth'),
        ('x' * 5000, 'epoch_2.pth'),
        ('a\0b', 'epoch_2.pth'),
    ],
)
def test_the_note_is_believed_over_numbers(tmp_path, note, start):
    torch.save({}, tmp_path / 'epoch_6.pth')
    (tmp_path / 'epoch_4.pth').write_bytes(b'PK')
    for name in ('epoch_6.pth', 'epoch_4.pth'):
        os.utime(tmp_path / name, (1, 1))
    for number in (1, 2):
        path = tmp_path / f'epoch_{number}.pth'
        torch.save({}, path)
        os.utime(path, (10 + number, 10 + number))
    assert started(tmp_path, note) == (start, [])
    (tmp_path / 'last_checkpoint').unlink()
    note = tmp_path / 'last_checkpoint'
    assert find_start(note, 'epoch_{}.pth') == (None, [])
