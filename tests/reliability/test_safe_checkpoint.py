"""A kill at any moment, a full disk, broken or unsuitable checkpoints."""

import errno
import io
import os
import resource
import shutil
import signal
import zipfile
from itertools import count
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from mmengine.fileio import get_file_backend
from mmengine.hooks import Hook

from micacl_mm.hooks import SafeCheckpointHook
from micacl_mm.hooks.checkpoint_files import find_start, is_broken, is_whole

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


def train_until(data, folder, number):
    """Train in a process that dies (SIGKILL) at the n-th moment at which
    something is done to the disk; whether it did."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    moments = count()

    def moment():
        if next(moments) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(path, obj):
        with path.open('wb') as file:  # half of it, then the rest
            file.write(obj[: len(obj) // 2])
            file.flush()
            moment()
            file.write(obj[len(obj) // 2 :])

    replace, unlink = os.replace, Path.unlink
    os.replace = lambda *paths: (moment(), replace(*paths))
    Path.write_bytes = write
    Path.unlink = lambda path, **kwargs: (
        path.suffix == '.pth' and moment(),
        unlink(path, **kwargs),
    )
    try:
        train(data, folder, Steps(moment))
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(data, whole, tmp_path):
    expected, files = whole
    assert files == ['best_acc_rise_epoch_2.pth', 'epoch_2.pth']
    for number in count():
        folder = tmp_path / str(number)
        killed = train_until(data, folder, number)
        left = stored(folder)
        assert all(is_whole(folder / name) for name in left)
        if not killed:
            break
        noise.assert_same(train(data, folder, resume=True), expected)
        assert stored(folder) == files
        shutil.rmtree(folder)
    assert left == files and number > 15  # moments there were


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
    assert 'No whole checkpoint to resume from in' in logged(tmp_path)


@pytest.mark.parametrize('explicit', [False, True])
def test_older_later_checkpoints_are_not_resumed(
    data, whole, half, tmp_path, explicit
):
    other = tmp_path / 'epoch_6.pth'
    other.write_bytes((half / 'epoch_1.pth').read_bytes())
    os.utime(other, (9, 9))
    (tmp_path / 'last_checkpoint').write_text(str(other))
    if explicit:
        start = str(half / 'epoch_1.pth')
        make(data, tmp_path, resume=True, load_from=start, epochs=2).train()
    else:
        train(data, tmp_path, epochs=1)
    assert 'epoch_6.pth belongs to an earlier training' in logged(tmp_path)
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])
    assert other.exists()
    assert stored(half) == ['best_acc_rise_epoch_1.pth', 'epoch_1.pth']


@pytest.mark.parametrize('change', ['out_dir', 'filename_tmpl', 'moved'])
def test_a_change_of_place_or_name_forgets_nothing(
    data, whole, begun, tmp_path, change
):
    options, last = {}, begun / 'epoch_2.pth'
    if change == 'moved':
        begun = begun.rename(tmp_path / 'new')
        last = begun / 'epoch_2.pth'
    elif change == 'out_dir':
        options = dict(out_dir=str(tmp_path / 'out'))
        last = tmp_path / 'out/run/epoch_2.pth'
    else:
        options = dict(filename_tmpl='my_{}.pth')
        last = begun / 'my_2.pth'
    found = train(data, begun, resume=True, **options)
    noise.assert_same(found, whole[0])
    assert (begun / 'last_checkpoint').read_text() == str(last)


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


def test_another_number_of_batches_is_warned_of(data, begun):
    train(data, begun, resume=True)
    assert 'has changed' not in logged(begun)
    runner = make(data, begun, resume=True, epochs=3)
    runner._train_dataloader['batch_size'] = 2
    runner.train()
    text = 'has 4 iterations in 2 epochs, but an epoch now has 3 batches'
    assert text in logged(begun)


def test_a_lost_best_checkpoint_is_warned_of(data, begun):
    (best,) = begun.glob('best_*.pth')
    best.unlink()
    train(data, begun, resume=True)
    text = f'{best.name}, the best checkpoint so far, is not there'
    assert text in logged(begun)


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
        ('AccMetric', 'acc/top3'),
        ('RecallMetric', 'acc/top1'),
        ('RecallMetric', 'val/UAR'),
        ('RecallMetric', 'UAR'),
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
        ('AccMetric', 'auto'),
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
    with pytest.raises(ValueError, match='local folder.*use CheckpointHook'):
        SafeCheckpointHook(**argument)


# -- Files


@pytest.mark.parametrize('number', [1, 2, 3])  # epoch, best, epoch again
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
    found, broken = find_start(
        folder / 'last_checkpoint', folder, 'epoch_{}.pth'
    )
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
        ('epoch_1.pth', 'epoch_2.pth'),  # a kill before the note
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
