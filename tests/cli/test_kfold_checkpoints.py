"""Checkpoints of a training that was killed at any moment."""

import os
from pathlib import Path

import pytest
import torch

from micacl_mm.cli.kfold.checkpoints import choose, count_done, mend


def store(folder, name, best=None, size=None):
    told = {'best_ckpt': f'/elsewhere/{best}'} if best else {}
    torch.save({'message_hub': {'runtime_info': told}}, folder / name)
    if size:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:size])


def mended(folder, safe=False):
    mend(folder, folder / 'log', safe)
    note = folder / 'last_checkpoint'
    left = sorted(path.name for path in folder.glob('*.pth'))
    found = Path(note.read_text()).name if note.exists() else None
    number = int(found.split('_')[1].split('.')[0]) if found else 0
    assert count_done(folder) == number
    return found, left


@pytest.mark.parametrize('safe', [False, True])
def test_half_a_checkpoint_is_not_resumed_from(tmp_path, safe):
    store(tmp_path, 'best_epoch_10.pth')
    for number in (9, 10):
        store(tmp_path, f'epoch_{number}.pth', best='best_epoch_10.pth')
    store(tmp_path, 'epoch_11.pth', size=300)
    (tmp_path / 'last_checkpoint').write_text('/moved/epoch_11.pth')
    left = ['best_epoch_10.pth', 'epoch_10.pth', 'epoch_9.pth']
    assert mended(tmp_path, safe) == ('epoch_10.pth', left)
    assert 'removed epoch_11.pth' in (tmp_path / 'log').read_text()
    assert Path((tmp_path / 'last_checkpoint').read_text()).is_file()


@pytest.mark.parametrize('safe', [False, True])
def test_a_note_cut_short_is_written_again(tmp_path, safe):
    store(tmp_path, 'best_epoch_2.pth')
    store(tmp_path, 'epoch_2.pth', best='best_epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text('')
    both = ['best_epoch_2.pth', 'epoch_2.pth']
    assert mended(tmp_path, safe) == ('epoch_2.pth', both)
    assert not (tmp_path / 'log').exists()


@pytest.mark.parametrize('epochs', [(1,), (1, 2, 3)])
def test_whole_checkpoints_are_left_to_the_safe_hook(tmp_path, epochs):
    """A kill in a validation, for which the hook makes up."""
    best = 'best_epoch_1.pth' if len(epochs) > 1 else None
    if best:
        store(tmp_path, best)
    for number in epochs:
        store(tmp_path, f'epoch_{number}.pth', best=best)
    last = f'epoch_{epochs[-1]}.pth'
    before = sorted(path.name for path in tmp_path.glob('*.pth'))
    # Killed before the first note, and after the last.
    for note in (None, f'/moved/{last}'):
        if note:
            (tmp_path / 'last_checkpoint').write_text(note)
        assert mended(tmp_path, safe=True) == (last, before)
    assert not (tmp_path / 'log').exists()


def test_only_broken_ones_mean_a_new_start_of_the_safe_hook(tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    assert mended(tmp_path, safe=True) == (None, [])
    text = 'removed epoch_1.pth (not whole), going on from the start'
    assert text in (tmp_path / 'log').read_text()


@pytest.mark.parametrize(
    ('epochs', 'start'),
    [
        ((16, 17), 'epoch_16.pth'),
        ((1,), None),
        ((15, 17), 'epoch_17.pth'),  # stored every second epoch
    ],
)
def test_an_epoch_that_may_lack_its_validation_is_repeated(
    tmp_path, epochs, start
):
    # Known to be the best is epoch 7, or none after one epoch.
    best = 'best_epoch_7.pth' if start else None
    if best:
        store(tmp_path, best)
    for number in epochs:
        store(tmp_path, f'epoch_{number}.pth', best=best)
    found, left = mended(tmp_path)
    assert found == start
    kept = [
        number for number in epochs if start and number <= int(start[6:-4])
    ]
    assert len(left) == len(kept) + bool(best)


@pytest.mark.parametrize('size', [None, 0, 300])
def test_without_its_best_checkpoint_a_training_starts_anew(tmp_path, size):
    store(tmp_path, 'epoch_1.pth', best='best_epoch_1.pth')
    store(tmp_path, 'epoch_2.pth', best='best_epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    if size is not None:
        store(tmp_path, 'best_epoch_1.pth')
        (tmp_path / 'best_epoch_2.pth').write_bytes(b'x' * size)
    assert mended(tmp_path) == (None, [])
    assert 'going on from the start' in (tmp_path / 'log').read_text()


def test_zeros_of_a_reboot_are_no_checkpoint(tmp_path):
    for number in (1, 2):
        store(tmp_path, f'epoch_{number}.pth')
    path = tmp_path / 'epoch_2.pth'
    data = bytearray(path.read_bytes())
    place = data.index(b'runtime_info')
    data[place : place + 12] = bytes(12)
    path.write_bytes(data)
    assert choose(tmp_path, 'last').name == 'epoch_1.pth'
    assert mended(tmp_path) == (None, [])


@pytest.mark.parametrize('safe', [False, True])
def test_nothing_to_mend(tmp_path, safe):
    assert mended(tmp_path, safe) == (None, [])
    assert not (tmp_path / 'log').exists()


def test_choice(tmp_path):
    assert choose(tmp_path, 'val') is choose(tmp_path, 'last') is None
    for number, name in enumerate(
        ('best_a_epoch_3.pth', 'best_a_epoch_2.pth', 'epoch_9.pth')
    ):
        store(tmp_path, name)
        os.utime(tmp_path / name, (number, number))
    store(tmp_path, 'epoch_10.pth')
    assert choose(tmp_path, 'val').name == 'best_a_epoch_2.pth'
    assert choose(tmp_path, 'test').name == 'best_a_epoch_2.pth'
    assert choose(tmp_path, 'last').name == 'epoch_10.pth'
