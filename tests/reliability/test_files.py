"""Files are whole or not there; broken ones are told."""

import errno
import io
import json
import os
import resource
import shutil
import zipfile
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.fileio import get_file_backend

from micacl_mm.hooks import atomic_backend
from micacl_mm.hooks.atomic_backend import AtomicBackend, remove_parts
from micacl_mm.hooks.bad_files import LIST, BadFileList
from micacl_mm.hooks.checkpoint_files import (
    find_start,
    is_broken,
    is_whole,
    newest_whole,
)
from micacl_mm.hooks.frame_faults import frame_fault, is_cut_off


def stored(value=0.0):
    file = io.BytesIO()
    torch.save({'weights': torch.full((64, 64), value)}, file)
    return file.getvalue()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path):
    backend = get_file_backend(backend_args=dict(backend='atomic'))
    assert isinstance(backend, AtomicBackend)
    path = tmp_path / 'new folder' / 'a.pth'
    backend.put(b'old', path)
    backend.put(b'new', path)
    assert path.read_bytes() == b'new' and names(path.parent) == ['a.pth']


def full(path, obj):
    path.write_bytes(obj[: len(obj) // 2])
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    AtomicBackend().put(stored(1), path)
    monkeypatch.setattr(AtomicBackend, '_write', staticmethod(full))
    with pytest.raises(OSError, match=r'a.pth needs 2.0 MiB.*--resume') as e:
        AtomicBackend().put(bytes(2 << 20), path)
    assert e.value.errno == errno.ENOSPC
    assert names(tmp_path) == ['a.pth'] and path.read_bytes() == stored(1)


def test_too_little_room_is_seen_before(tmp_path, monkeypatch):
    monkeypatch.setattr(AtomicBackend, '_write', pytest.fail)
    monkeypatch.setattr(
        atomic_backend.shutil,
        'disk_usage',
        lambda path: SimpleNamespace(free=3 << 20),
    )
    with pytest.raises(OSError, match=r'needs 4.0 MiB.*has 3.0 MiB left'):
        AtomicBackend().put(bytes(4 << 20), tmp_path / 'a.pth')
    assert names(tmp_path) == []


def test_a_real_limit_of_the_system(tmp_path):
    path = tmp_path / 'a.pth'
    AtomicBackend().put(b'old', path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match='ulimit -f') as caught:
            AtomicBackend().put(bytes(1 << 20), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b'old' and names(tmp_path) == ['a.pth']


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    def refuse(path, obj):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(AtomicBackend, '_write', staticmethod(refuse))
    with pytest.raises(PermissionError, match='denied'):
        AtomicBackend().put(b'', tmp_path / 'a.pth')


def test_what_a_kill_left_is_removed(tmp_path):
    for name in ('.a.pth.12.part', 'a.pth', 'my.part', '.hidden'):
        (tmp_path / name).touch()
    assert remove_parts(tmp_path) == ['.a.pth.12.part']
    assert names(tmp_path) == ['.hidden', 'a.pth', 'my.part']
    assert remove_parts(tmp_path / 'absent') == []


def test_every_part_of_a_checkpoint_is_broken(tmp_path):
    data, path = stored(), tmp_path / 'epoch_1.pth'
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


def test_a_checkpoint_of_another_format_is_not_called_broken(tmp_path):
    path = tmp_path / 'epoch_3.pth'
    torch.save({}, path, _use_new_zipfile_serialization=False)
    assert not is_broken(path)
    (tmp_path / 'last_checkpoint').write_text(str(path))
    assert started(tmp_path) == ('epoch_3.pth', [])
    (tmp_path / 'last_checkpoint').unlink()
    assert started(tmp_path) == ('epoch_3.pth', [])


def put(folder, name, second, told=None):
    """Store a checkpoint as if that had been at a second of a day."""
    file = {'meta': {'time': f'20260101_0000{told or second:02}'}}
    torch.save(file, folder / name)
    os.utime(folder / name, (second, second))


def started(folder):
    note = folder / 'last_checkpoint'
    found, broken = find_start(note, folder, 'epoch_{}.pth')
    return found and found.name, [path.name for path in broken]


def test_the_newest_whole_checkpoint(tmp_path):
    assert newest_whole(tmp_path / 'absent', 'epoch_{}.pth') == (None, [])
    for number in (2, 9, 10, 11):
        put(tmp_path, f'epoch_{number}.pth', number)
    for name in ('best_acc_epoch_12.pth', 'iter_13.pth', 'epoch_x.pth'):
        put(tmp_path, name, 30)
    put(tmp_path, 'epoch_20.pth', 1)  # of an older training
    assert started(tmp_path) == ('epoch_11.pth', [])
    for number in (10, 11):
        path = tmp_path / f'epoch_{number}.pth'
        path.write_bytes(path.read_bytes()[:-9])
    broken = ['epoch_11.pth', 'epoch_10.pth']
    assert started(tmp_path) == ('epoch_9.pth', broken)


@pytest.mark.parametrize(
    ('named', 'start'),
    [
        ('epoch_2.pth', 'epoch_2.pth'),  # and not the old epoch_6.pth
        ('/moved/epoch_2.pth', 'epoch_2.pth'),
        ('', 'epoch_2.pth'),
        ('epoch_5.pth', 'epoch_2.pth'),  # gone
        ('epoch_4.pth', 'epoch_2.pth'),  # broken
        ('epoch_1.pth', 'epoch_2.pth'),  # a kill before the note
        ('epoch_6.pth', 'epoch_2.pth'),  # before the first note
        ('x' * 5000, 'epoch_2.pth'),
        ('a\0b', 'epoch_2.pth'),
    ],
)
def test_the_note_is_believed_over_numbers(tmp_path, named, start):
    put(tmp_path, 'epoch_6.pth', 1)
    (tmp_path / 'epoch_4.pth').write_bytes(b'PK')
    os.utime(tmp_path / 'epoch_4.pth', (1, 1))
    for number in (1, 2):
        put(tmp_path, f'epoch_{number}.pth', 10 + number)
    (tmp_path / 'last_checkpoint').write_text(named)
    assert started(tmp_path) == (start, [])


def test_a_copy_is_judged_by_the_times_inside(tmp_path):
    for number in (1, 2, 3):  # copied in another order
        put(tmp_path, f'epoch_{number}.pth', 40 - number, told=number)
    (tmp_path / 'last_checkpoint').write_text('/other/epoch_3.pth')
    assert started(tmp_path) == ('epoch_3.pth', [])
    (tmp_path / 'last_checkpoint').unlink()
    assert started(tmp_path) == ('epoch_3.pth', [])


def picture(suffix, *options):
    image = np.random.RandomState(0).randint(0, 255, (24, 31, 3), np.uint8)
    return cv2.imencode(suffix, image, options)[1].tobytes()


@pytest.mark.parametrize(
    'data',
    [
        picture('.jpg'),
        picture('.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        picture('.png'),
    ],
    ids=['jpg', 'progressive', 'png'],
)
def test_every_beginning_of_a_picture_is_cut_off(data):
    assert not is_cut_off(data) and frame_fault(data) is None
    assert not is_cut_off(data + bytes(7))  # harmless bytes too many
    for length in range(8, len(data), 7):
        assert is_cut_off(data[:length]), length
    assert frame_fault(data[:-1]) == 'is cut off: it has no end'


def test_the_end_of_a_preview_is_not_that_of_the_picture():
    data = picture('.jpg')
    inside = b'Exif\0\0' + picture('.jpg')
    size = (len(inside) + 2).to_bytes(2, 'big')
    data = data[:2] + b'\xff\xe1' + size + inside + data[2:]
    assert frame_fault(data) is None and not is_cut_off(data)
    for length in range(len(inside) + 6, len(data) - 1, 11):
        assert is_cut_off(data[:length]), length


def test_faults_of_frames():
    assert frame_fault(b'') == 'is empty'
    assert frame_fault(b'no picture') == 'cannot be decoded'
    assert not is_cut_off(b'') and not is_cut_off(b'BM' + bytes(30))


def test_the_list_holds_each_file_once(tmp_path):
    folder = str(tmp_path)
    first, second = BadFileList(folder, 0), BadFileList(folder, 1)
    for file in 'cab':
        first.add({'path': file, 'reason': 'is empty'})
        second.add({'path': file, 'reason': 'is empty'})
    second.add({'path': 'd', 'reason': 'is missing'})
    assert [row['path'] for row in first.join()] == ['a', 'b', 'c', 'd']
    assert first.join() == []
    # Part of a line, as a kill leaves it, spoils no other one.
    with open(tmp_path / f'.{LIST}.rank0', 'a') as file:
        file.write('{"path": "brok')
    resumed = BadFileList(folder, 0)
    assert resumed.known == set('abcd')
    resumed.add({'path': 'a', 'reason': 'is empty'})
    resumed.add({'path': 'e', 'reason': 'is empty'})
    assert [row['path'] for row in resumed.join()] == ['e']
    lines = (tmp_path / LIST).read_text().splitlines()
    assert [json.loads(line)['path'] for line in lines] == list('abcde')
    shutil.rmtree(tmp_path)
    assert BadFileList(folder, 0).read() == []
