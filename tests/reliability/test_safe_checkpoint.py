"""A kill at any moment, a full disk, broken checkpoints."""

import errno
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from micacl_mm.engine import SafeCheckpointHook
from micacl_mm.engine.atomic_backend import AtomicBackend
from micacl_mm.engine.checkpoint_files import is_whole
from micacl_mm.engine.hooks import safe_checkpoint_hook

from . import noise

EPOCHS = 2


class Killed(BaseException):
    """Stands for a kill."""


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


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """What an undisturbed training comes to."""
    folder = tmp_path_factory.mktemp('whole')
    return train(data, folder), stored(folder)


def kill_at(patch, number):
    """Die at the n-th moment at which something is done to the disk."""
    passed = []

    def moment():
        passed.append(1)
        if len(passed) - 1 == number:
            raise Killed

    def before(action):
        def acts(*args):
            moment()
            return action(*args)

        return staticmethod(acts)

    hook = SafeCheckpointHook
    patch.setattr(AtomicBackend, '_write', before(AtomicBackend._write))
    patch.setattr(hook, '_remove', before(hook._remove))
    patch.setattr(
        safe_checkpoint_hook,
        'write_text',
        before(safe_checkpoint_hook.write_text),
    )
    return moment


def test_a_kill_at_any_moment_loses_nothing(data, whole, tmp_path):
    expected, files = whole
    assert files == ['best_acc_rise_epoch_2.pth', 'epoch_2.pth']
    number, alive = 0, False
    while not alive:
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patch:
            moment = kill_at(patch, number)
            try:
                found = train(data, folder, Steps(moment))
                alive = True
            except Killed:
                left = stored(folder)
                assert all(is_whole(folder / name) for name in left)
        if not alive:
            assert number == 0 or any('epoch_' in name for name in left)
            found = train(data, folder, resume=True)
        noise.assert_same(found, expected)
        assert stored(folder) == files
        shutil.rmtree(folder)
        number += 1
    assert number > 15  # moments there were


def test_a_broken_checkpoint_is_passed_over(data, whole, tmp_path):
    train(data, tmp_path, epochs=1)
    log = tmp_path / 'last_checkpoint'
    log.write_text('')  # as MMEngine's hook may leave it
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        (tmp_path / name).write_bytes(
            (tmp_path / 'epoch_1.pth').read_bytes()[:-100]
        )
    (tmp_path / '.epoch_3.pth.7.part').write_bytes(b'half')
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])
    text = ''.join(p.read_text() for p in tmp_path.glob('*/*.log'))
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        assert f'{name} is broken and passed over; going on from' in text
    assert not list(tmp_path.glob('.*.part'))
    assert Path(log.read_text()).name == 'epoch_2.pth'


def test_nothing_whole_means_a_new_start(data, whole, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])


def test_a_broken_checkpoint_that_is_asked_for_is_refused(data, tmp_path):
    train(data, tmp_path, epochs=1)
    path = tmp_path / 'epoch_9.pth'
    path.write_bytes((tmp_path / 'epoch_1.pth').read_bytes()[:-100])
    runner = make(data, tmp_path, resume=True)
    runner._load_from = str(path)
    with pytest.raises(ValueError, match=r'epoch_9.*take .*epoch_1.pth'):
        runner.train()


def test_a_moved_folder_goes_on(data, whole, tmp_path):
    train(data, tmp_path / 'old', epochs=1)
    (tmp_path / 'old').rename(tmp_path / 'new')
    noise.assert_same(train(data, tmp_path / 'new', resume=True), whole[0])
    assert stored(tmp_path / 'new') == whole[1]
    assert not (tmp_path / 'old').exists()


def test_a_lost_best_checkpoint_is_told(data, tmp_path):
    train(data, tmp_path, epochs=1)
    (tmp_path / 'best_acc_rise_epoch_1.pth').unlink()
    train(data, tmp_path, resume=True)
    text = ''.join(p.read_text() for p in tmp_path.glob('*/*.log'))
    assert 'best_acc_rise_epoch_1.pth, the best checkpoint so far, is' in text


@pytest.mark.parametrize('number', [1, 2, 3])  # epoch, best, epoch again
def test_a_full_disk_keeps_what_there_is(
    data, whole, tmp_path, monkeypatch, number
):
    train(data, tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    count = []

    def write(path, obj):
        count.append(1)
        path.write_bytes(obj if len(count) < number else obj[:500])
        if len(count) >= number:
            raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(AtomicBackend, '_write', staticmethod(write))
        with pytest.raises(OSError, match='needs .* MiB, but the disk has'):
            train(data, tmp_path, resume=True, max_keep_ckpts=2)
    assert all(map(is_whole, tmp_path.glob('*.pth')))
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content
    assert not list(tmp_path.glob('.*.part'))
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])


def test_a_test_beside_a_training_touches_nothing(data, tmp_path):
    train(data, tmp_path, epochs=1)
    part = tmp_path / '.epoch_2.pth.1.part'
    part.write_bytes(b'half')
    runner = make(data, tmp_path, resume=True)
    runner.test()
    assert part.exists()


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
    name = 'cls_head.fc_cls.weight'
    plain = one['ema_state_dict'][f'module.{name}']
    assert not torch.equal(one['state_dict'][name], plain)


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
    with pytest.raises(ValueError, match='local folder.*take CheckpointHook'):
        SafeCheckpointHook(**argument)


def test_checkpoints_in_another_folder(data, whole, tmp_path):
    for epochs in (1, EPOCHS):
        found = train(
            data,
            tmp_path / 'run',
            out_dir=str(tmp_path / 'out'),
            epochs=epochs,
            resume=epochs > 1,
        )
    noise.assert_same(found, whole[0])
    assert stored(tmp_path / 'out' / 'run') == whole[1]
    assert not stored(tmp_path / 'run')
