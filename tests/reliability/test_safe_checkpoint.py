"""A kill at any moment, a full disk, broken checkpoints."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from micacl_mm.hooks import SafeCheckpointHook, safe_checkpoint_hook
from micacl_mm.hooks.atomic_backend import AtomicBackend
from micacl_mm.hooks.checkpoint_files import is_whole

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


def logged(folder):
    return ''.join(path.read_text() for path in folder.glob('*/*.log'))


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
    text = logged(tmp_path)
    for name in ('epoch_2.pth', 'epoch_3.pth'):
        assert f'{name} is broken and passed over; going on from' in text
    assert not list(tmp_path.glob('.*.part'))
    assert Path(log.read_text()).name == 'epoch_2.pth'


def test_nothing_whole_means_a_new_start(data, whole, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])
    text = f'finds no checkpoint in {tmp_path}, nor is {tmp_path}/epoch_1.pth'
    assert text in logged(tmp_path) and 'STARTS ANEW' in logged(tmp_path)


@pytest.fixture(scope='module')
def other(data, tmp_path_factory):
    """A later checkpoint of another training, written before."""
    folder = tmp_path_factory.mktemp('other')
    train(data, folder, seed=5)
    os.utime(folder / 'epoch_2.pth', (9, 9))
    return folder / 'epoch_2.pth'


@pytest.mark.parametrize('explicit', [False, True])
def test_old_later_checkpoints_are_not_resumed(
    data, whole, other, tmp_path, explicit
):
    shutil.copy2(other, tmp_path / 'epoch_6.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_6.pth'))
    if explicit:  # resumed from a file, then killed
        train(data, tmp_path / 'from', epochs=1)
        runner = make(data, tmp_path, resume=True, epochs=2)
        runner._load_from = str(tmp_path / 'from' / 'epoch_1.pth')
        runner.train()
    else:
        train(data, tmp_path, epochs=1)
    text = 'epoch_6.pth is there from before: until this training has stored'
    assert text in logged(tmp_path)
    found = train(data, tmp_path, resume=True)
    noise.assert_same(found, whole[0])
    assert (tmp_path / 'epoch_6.pth').read_bytes() == other.read_bytes()


@pytest.mark.parametrize('change', ['out_dir', 'filename_tmpl'])
def test_a_change_of_place_or_name_forgets_nothing(
    data, whole, tmp_path, change
):
    train(data, tmp_path / 'run', epochs=1)
    values = dict(out_dir=str(tmp_path / 'out'), filename_tmpl='my_{}.pth')
    found = train(
        data, tmp_path / 'run', resume=True, **{change: values[change]}
    )
    noise.assert_same(found, whole[0])
    note = (tmp_path / 'run' / 'last_checkpoint').read_text()
    names = dict(out_dir='out/run/epoch_2.pth', filename_tmpl='run/my_2.pth')
    assert note == str(tmp_path / names[change])


def test_a_checkpoint_of_another_format_is_resumed(data, whole, tmp_path):
    train(data, tmp_path, epochs=1)
    path = tmp_path / 'epoch_1.pth'
    file = torch.load(path, weights_only=True)
    torch.save(file, path, _use_new_zipfile_serialization=False)
    noise.assert_same(train(data, tmp_path, resume=True), whole[0])


def test_a_validation_alone_stores_nothing(data, tmp_path):
    for save_best in (None, 'acc/rise'):
        runner = make(data, tmp_path, save_best=save_best)
        assert 'acc/rise' in runner.val()
        assert not isinstance(runner._train_loop, BaseLoop)
    assert not stored(tmp_path)


def test_what_is_not_restored_is_told(data, tmp_path):
    early = dict(type='EarlyStoppingHook', monitor='acc/rise', rule='greater')
    for counts, told in ((3, True), (2, False)):
        folder = tmp_path / str(counts)
        runner = make(data, folder, early, epochs=1)
        runner.optim_wrapper['accumulative_counts'] = counts
        runner.train()
        text = f'2 batches of an epoch are no multiple of .*={counts}: gradi'
        assert bool(re.search(text, logged(folder))) == told
        text = 'EarlyStoppingHook keeps its count and best score in no check'
        assert text in logged(folder)
    train(data, tmp_path / 'plain', epochs=1)
    text = logged(tmp_path / 'plain')
    assert 'multiple' not in text and 'EarlyStopping' not in text


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
    text = 'best_acc_rise_epoch_1.pth, the best checkpoint so far, is'
    assert text in logged(tmp_path)


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
