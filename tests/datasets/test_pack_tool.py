"""Packing of folders: resumed, repeated, verified."""

import csv
import errno
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from micacl_mm.cli.pack import main
from micacl_mm.datasets.packs import (
    FramePack,
    pack_frames,
    pack_writer,
    verify_pack,
    writing,
)
from micacl_mm.datasets.packs.ahead import map_ahead
from micacl_mm.datasets.packs.frame_pack import close_reader
from micacl_mm.datasets.packs.layout import MAX_KEY, lmdb, open_reader
from micacl_mm.datasets.packs.pack_writer import PackWriter

from .transforms.images import compressed, picture, write_clip

pytest.importorskip('lmdb')

CLIPS = 14


@pytest.fixture
def faces(tmp_path):
    """Folders of two scenes, and what is no clip."""
    root = tmp_path / 'faces'
    for number in range(CLIPS):
        clip = root / f'scene{number % 2}' / f'{number:03d}'
        write_clip(clip, 2 + number % 3)
    (root / 'empty').mkdir()
    (root / 'notes.txt').write_text('no clip')
    (root / '.hidden').mkdir()
    (root / '.hidden' / '1.jpg').write_bytes(b'no clip')
    return root


def contents(path):
    """All keys and values of a pack."""
    close_reader(str(path))
    environment = open_reader(str(path))
    with environment, environment.begin() as begun, begun.cursor() as cursor:
        return {bytes(k): bytes(v) for k, v in cursor}


def pack(faces, out, *options):
    return main([str(faces), str(out), *options])


def test_pack_again_and_verify(faces, tmp_path, capsys):
    out = tmp_path / 'out' / 'a.lmdb'
    assert pack(faces, out, '--workers', '3') == 0
    said = capsys.readouterr()
    assert f'{CLIPS} clips packed now, 0 before' in said.out
    assert f'{CLIPS}/{CLIPS} clips, 0 problems' in said.err
    first = contents(out)
    frames = {
        f'{path.parent.relative_to(faces)}/{path.name}'.encode(): (
            path.read_bytes()
        )
        for path in faces.rglob('scene*/*/*.jpg')
    }
    assert {k: v for k, v in first.items() if k[0]} == frames
    assert pack(faces, out) == 0
    assert f'0 clips packed now, {CLIPS} before' in capsys.readouterr().out
    assert contents(out) == first
    assert pack(faces, out, '--verify') == 0
    assert 'byte for byte' in capsys.readouterr().out


def test_what_is_in_it_depends_on_no_chance(faces, tmp_path, monkeypatch):
    """Not on the number of threads, nor on a file that had to grow."""
    plain = tmp_path / 'plain.lmdb'
    pack_frames(str(faces), str(plain), workers=1)
    monkeypatch.setattr(pack_writer, '_MAP_STEP', 1 << 16)
    grown = tmp_path / 'grown.lmdb'
    pack_frames(str(faces), str(grown), workers=5)
    assert grown.stat().st_size > 1 << 16
    assert contents(grown) == contents(plain)


@pytest.mark.parametrize('after', [0, 1, 9])
def test_stopped_and_gone_on_with(
    main, faces, tmp_path, monkeypatch, capsys, after
):
    """The same as if it had not been stopped, and refused in between."""
    whole, out = tmp_path / 'whole.lmdb', tmp_path / 'a.lmdb'
    pack_frames(str(faces), str(whole))
    add, done = PackWriter.add, []

    def stop(self, clip):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(clip)
        add(self, clip)

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, 'add', stop)
        assert pack(faces, out) == 130
    assert 'the same command goes on' in capsys.readouterr().err
    with pytest.raises(ValueError, match='is unfinished'):
        FramePack(out)
    assert not out.exists()
    assert pack(faces, out) == 0
    said = capsys.readouterr().out
    assert f'{CLIPS - after} clips packed now, {after} before' in said
    assert contents(out) == contents(whole)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f'{p.name}{s}' for p in (whole, out) for s in ('', '-lock')
    } | {'faces'}


@pytest.mark.parametrize('written', [b'', None], ids=['empty', 'no entries'])
@pytest.mark.parametrize('name', ['a.lmdb', 'a.lmdb.part'])
def test_stopped_before_anything_was_written(faces, tmp_path, written, name):
    (tmp_path / name).write_bytes(b'')
    if written is None:
        (tmp_path / name).unlink()
        lmdb.open(str(tmp_path / name), subdir=False, lock=False).close()
    out = tmp_path / 'a.lmdb'
    with pytest.raises(ValueError, match='unfinished; do run .* goes on'):
        FramePack(out)
    pack_frames(str(faces), str(out))
    assert verify_pack(str(out), str(faces)) == []


def test_readers_keep_the_pack_they_have(faces, tmp_path):
    """It grows beside them; who has not read yet is told of it."""
    out = tmp_path / 'a.lmdb'
    pack_frames(str(faces), str(out))
    first, inode = out.read_bytes(), out.stat().st_ino
    with open(out, 'rb') as reader:
        write_clip(faces / 'scene0' / 'new', 40)
        old = FramePack(out)
        pack_frames(str(faces), str(out))
        assert reader.read() == first
    assert out.stat().st_ino != inode
    new = FramePack(out)
    assert len(new.clips()) == CLIPS + 1
    with pytest.raises(ValueError, match='was replaced .* do start again'):
        old.clips()
    # With nothing to do it stays the file it was.
    inode = out.stat().st_ino
    assert pack_frames(str(faces), str(out))['done'] == 0
    assert out.stat().st_ino == inode and new.clips()


def test_a_pack_that_was_replaced(faces, tmp_path):
    """By another tool, in a living process that has read the one before."""
    one, two = tmp_path / '1.lmdb', tmp_path / '2.lmdb'
    pack_frames(str(faces), str(one))
    old = FramePack(one)
    write_clip(faces / 'scene0' / 'new')
    pack_frames(str(faces), str(two))
    two.replace(one)
    assert len(old.clips()) == CLIPS
    new = FramePack(one)
    assert len(new.clips()) == CLIPS + 1
    with pytest.raises(ValueError, match='was replaced'):
        old.read('scene0/000', '000.jpg')
    assert len(new.clips()) == CLIPS + 1


def test_a_second_command_is_refused(faces, tmp_path, capsys):
    pytest.importorskip('fcntl')
    with writing._claimed(str(tmp_path / 'a.lmdb')):
        assert pack(faces, tmp_path / 'a.lmdb') == 2
    assert 'another command writes' in capsys.readouterr().err


def unreadable(monkeypatch, folder):
    """Let listing a folder fail, as a disk does."""
    scan = os.scandir

    def fail(path):
        if Path(path) == folder:
            raise OSError(errno.EIO, 'Input/output error')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', fail)


@pytest.mark.parametrize('again', [False, True])
@pytest.mark.parametrize('folder', ['scene1', 'scene1/001'])
def test_what_cannot_be_listed_stays(
    main, faces, tmp_path, monkeypatch, capsys, folder, again
):
    out, options = tmp_path / 'a.lmdb', ['--again'] * again
    pack_frames(str(faces), str(out))
    whole = contents(out)
    with monkeypatch.context() as patch:
        unreadable(patch, faces / folder)
        assert pack(faces, out, *options) == 1
        assert contents(out) == whole
        lines = (tmp_path / 'a.lmdb.failures.csv').read_text().splitlines()
        reason = 'not packed: Input/output error'
        assert lines[1:] == [f'{faces / folder},{reason}']
        found = verify_pack(str(out), str(faces))
        assert found == [(folder, 'Input/output error')]
    assert pack(faces, out) == 0
    assert 'before, 0 removed' in capsys.readouterr().out


def test_most_clips_leave_only_when_told(faces, tmp_path, capsys):
    """The folder may be another one that has a name in common."""
    out, other = tmp_path / 'a.lmdb', tmp_path / 'other'
    pack_frames(str(faces), str(out))
    whole = out.read_bytes()
    write_clip(other / 'scene0' / '000')
    assert pack(other, out) == 2
    said = capsys.readouterr().err
    assert f'{CLIPS - 1} of {CLIPS} clips' in said and '--prune' in said
    assert out.read_bytes() == whole
    assert pack(other, out, '--prune') == 0
    assert f'{CLIPS - 1} removed' in capsys.readouterr().out
    assert FramePack(out).clips() == ['scene0/000']


@pytest.mark.parametrize('frame', [0, 1, 2])
def test_changes_of_equal_size(faces, tmp_path, capsys, frame):
    """Seen by their time; without that by --again."""
    out, clip = tmp_path / 'a.lmdb', faces / 'scene0' / 'bmp'
    write_clip(clip, 3, 'bmp', form='bmp')
    pack_frames(str(faces), str(out))
    path = clip / f'00{frame}.bmp'
    path.write_bytes(compressed(picture(seed=9), form='bmp'))
    later = max(p.stat().st_mtime_ns for p in clip.iterdir()) + 10**9
    os.utime(path, ns=(later, later))
    assert pack(faces, out) == 0
    assert f'1 clips packed now, {CLIPS} before' in capsys.readouterr().out
    assert verify_pack(str(out), str(faces)) == []
    path.write_bytes(compressed(picture(seed=8), form='bmp'))
    os.utime(path, ns=(later, later))
    assert pack(faces, out) == 0
    assert '0 clips packed now' in capsys.readouterr().out
    assert pack(faces, out, '--verify') == 1
    assert '--again' in capsys.readouterr().err
    assert pack(faces, out, '--again') == 0
    assert f'{CLIPS + 1} clips packed now' in capsys.readouterr().out
    assert verify_pack(str(out), str(faces)) == []


def pack_with_little_room(faces, out):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, 1 << 15))
    try:
        pack_frames(faces, out)
    except OSError as error:
        return str(error)


def test_a_full_disk(faces, tmp_path):
    """Nothing is damaged: no advice to delete, and it can be gone on with."""
    pytest.importorskip('resource')
    out = str(tmp_path / 'a.lmdb')
    with ProcessPoolExecutor(1, mp_context=get_context('fork')) as pool:
        said = pool.submit(pack_with_little_room, str(faces), out).result()
    assert said.startswith(f'pack {out}.part cannot be read or written (')
    assert 'delete' not in said and 'has room' in said
    pack_frames(str(faces), out)
    assert verify_pack(out, str(faces)) == []


def test_changes_of_the_folder(faces, tmp_path, capsys):
    """New, changed and removed clips; the rest is not read again."""
    out = tmp_path / 'a.lmdb'
    pack_frames(str(faces), str(out))
    write_clip(faces / 'scene0' / 'new')
    grown, gone = faces / 'scene0' / '000', faces / 'scene1' / '001'
    (grown / '000.jpg').write_bytes(compressed(picture(40, 40)))
    (grown / '001.jpg').rename(grown / '0010.jpg')
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    assert pack(faces, out) == 0
    said = capsys.readouterr().out
    assert f'2 clips packed now, {CLIPS - 2} before, 1 removed' in said
    assert verify_pack(str(out), str(faces)) == []
    fresh = tmp_path / 'fresh.lmdb'
    pack_frames(str(faces), str(fresh))
    assert contents(out) == contents(fresh)


def test_verification_sees_every_difference(faces, tmp_path, capsys):
    out = tmp_path / 'a.lmdb'
    pack_frames(str(faces), str(out))
    one = faces / 'scene0' / '000' / '000.jpg'
    data = bytearray(one.read_bytes())
    data[99] ^= 1  # as long as before
    one.write_bytes(data)
    (faces / 'scene0' / '002' / '000.jpg').unlink()
    write_clip(faces / 'scene0' / '004', 9)
    write_clip(faces / 'scene9' / '1', 1)
    (faces / 'scene1' / '001').rename(faces / 'scene1' / 'x')
    found = dict(verify_pack(str(out), str(faces)))
    assert found.pop('scene0/000/000.jpg') == 'differs from the folder'
    assert 'not to be read' in found.pop('scene0/002/000.jpg')
    assert found.pop('scene0/004/008.jpg') == 'not in the pack'
    assert found.pop('scene9/1') == 'not in the pack'
    assert found.pop('scene1/x') == 'not in the pack'
    assert found.pop('scene1/001') == 'not in the folder'
    assert all(name.startswith('scene0/004/') for name in found)
    assert pack(faces, out, '--verify') == 1
    assert 'scene9/1: not in the pack' in capsys.readouterr().err
    # Alone, it is what it was.
    assert verify_pack(str(out)) == []


def test_verification_sees_damage(faces, tmp_path):
    out = tmp_path / 'a.lmdb'
    pack_frames(str(faces), str(out))
    jpeg = (faces / 'scene1' / '005' / '001.jpg').read_bytes()
    whole = bytearray(out.read_bytes())
    # The same picture is in other clips too: one of them.
    at = whole.index(jpeg)
    whole[at + 50] ^= 255
    close_reader(str(out))
    out.write_bytes(whole)
    ((name, problem),) = verify_pack(str(out))
    assert name.endswith('/001.jpg') and problem == 'damaged in the pack'


def test_broken_files_are_listed_and_kept(faces, tmp_path, capsys):
    out, listed = tmp_path / 'a.lmdb', tmp_path / 'a.lmdb.failures.csv'
    broken = faces / 'scene0' / '000' / '001.jpg'
    sound = broken.read_bytes()
    broken.write_bytes(sound[:200])
    assert pack(faces, out) == 1
    assert '1 broken files' in capsys.readouterr().err
    ((path, reason),) = list(csv.reader(listed.open()))[1:]
    assert path == str(broken) and 'cut off or damaged' in reason
    # The pack is the folder all the same, whole, and to be trained on.
    assert FramePack(out).read('scene0/000', '001.jpg') == sound[:200]
    assert verify_pack(str(out), str(faces)) == []
    broken.write_bytes(sound)
    assert pack(faces, out) == 0
    assert not listed.exists()


def test_names_that_are_too_long(faces, tmp_path, capsys):
    deep = faces / ('a' * 200) / ('b' * 200)
    write_clip(deep / ('c' * 120), 1)
    out = tmp_path / 'a.lmdb'
    assert pack(faces, out) == 1
    text = (tmp_path / 'a.lmdb.failures.csv').read_text()
    assert f'not packed: name longer than {MAX_KEY} bytes' in text
    assert len(FramePack(out).clips()) == CLIPS


def test_links_that_lead_up(faces, tmp_path):
    (faces / 'scene0' / 'up').symlink_to(faces)
    (faces / 'scene2').symlink_to(faces / 'scene1')
    done = pack_frames(str(faces), str(tmp_path / 'a.lmdb'))
    assert done['clips'] == CLIPS + CLIPS // 2


@pytest.mark.parametrize(
    'case', ['foreign', 'folder', 'absent', 'bare', 'other', 'workers']
)
def test_refusals(faces, tmp_path, capsys, case):
    out, options = tmp_path / 'a.lmdb', []
    if case == 'foreign':
        out.write_text('thesis')
    elif case == 'folder':
        out.mkdir()
    elif case == 'absent':
        faces = tmp_path / 'no'
    elif case == 'bare':
        faces = faces / 'empty'
    elif case == 'other':
        write_clip(tmp_path / 'more' / '1')
        pack_frames(str(tmp_path / 'more'), str(out))
        capsys.readouterr()
    else:
        options = ['--workers', '0']
    before = out.read_bytes() if out.is_file() else None
    assert pack(faces, out, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and said.count('\n') == 1
    if before is not None:
        assert out.read_bytes() == before


def test_map_ahead_keeps_order_and_every_item():
    for count in (0, 1, 4, 5, 50):
        found = list(map_ahead(lambda x: x * x, range(count), 2))
        assert found == [x * x for x in range(count)]


def test_map_ahead_passes_errors_on():
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda x: 1 / x, [1, 0, 1], 2))


def test_map_ahead_leaves_at_once():
    """Closed early, it does not work off what nobody has asked for."""
    begun, go = [], threading.Event()

    def work(item):
        begun.append(item)
        if item:
            go.wait(10)
        return item

    with closing(map_ahead(work, range(50), 2)) as results:
        assert next(results) == 0
        threading.Timer(0.2, go.set).start()
    # Two threads were at it, and three items waited behind them.
    assert len(begun) <= 3
