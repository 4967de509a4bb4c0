"""Folders of any shape: clips below the root, or a documented error."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.apis.clips import list_clips
from micacl_mm.datasets import (
    ClassFolderDataset,
    DFEWDataset,
    FERV39kDataset,
)
from micacl_mm.datasets.class_folder_dataset import find_classes
from micacl_mm.faces.crop_set import find_clips
from tests.sets import write_dfew, write_ferv

from .profile import bounded, fuzzed
from .test_annotations import check

NAMES = (
    *('a', 'A', 'b', 'c', 'train', 'val', 'test', 'Train', '.hidden', '_'),
    *('1', '00001', '٣', '²', '1.jpg', '2.png', 'x.mp4', 'X.MP4', 'x.avi'),
    *('clip_224x224', 'original', 'Clip', 'EmoLabel_DataSplit', '4_setups'),
    *('All_scenes', 'train_All.csv', 'train(single-labeled)', 'set_1.csv'),
    *('Action', 'Happy', 'Sad', '0001', '0001.mp4', '__MACOSX', 'lost+found'),
    *('é', 'e\u0301', ' ', 'a b', 'a\nb', '..x', '%d', '~', '-rf', '9' * 200),
    *(os.fsdecode(b'\xff'), os.fsdecode(b'\xe9.mp4'), '😀', 'x' * 240, 'a,b'),
    *('clip_224x224_part_3', '16f', 'part_1', 'unreadable'),
)
#: Names of files that are no text.
UNTEXT = [os.fsdecode(bytes([code, *b'.mp4'])) for code in range(200, 209)]
KINDS = ('folder', 'folder', 'empty', 'bytes', 'up', 'self', 'root', 'sibling')
ENTRIES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
        st.sampled_from(KINDS),
    ),
    max_size=20,
)


def build(root, entries):
    """Lay out a tree; what is in the way of another stays out."""
    root.mkdir(parents=True)
    for number, (parts, kind) in enumerate(entries):
        path = root.joinpath(*parts)
        try:
            folder = path if kind == 'folder' else path.parent
            folder.mkdir(parents=True, exist_ok=True)
            if kind in ('empty', 'bytes'):
                path.write_bytes(b'' if kind == 'empty' else b'\xff\xd8\xff')
            elif kind != 'folder':
                others = sorted(map(str, root.iterdir())) or ['gone']
                target = {
                    'up': '..',
                    'self': path.name,
                    'root': str(root),
                    'sibling': others[number % len(others)],
                }[kind]
                path.symlink_to(target)
        except OSError:
            continue


@pytest.fixture
def barred(monkeypatch):
    """Folders that may not be read, which does not keep root out."""
    scan = os.scandir

    def refuse(path='.'):
        if isinstance(path, str) and 'unreadable' in path:
            raise PermissionError(13, 'Permission denied', os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    yield
    monkeypatch.undo()


SETS = [ClassFolderDataset, DFEWDataset, FERV39kDataset]


@pytest.mark.parametrize('kind', SETS)
def test_trees(tmp_path, barred, kind):
    # Up to three levels above it nothing but the tree, for links to "..".
    root = tmp_path / 'u/v/w/set'

    @given(ENTRIES, st.booleans())
    @example([(['a', '1', '1.jpg'], 'bytes'), (['b', '1.jpg'], 'bytes')], True)
    @example(
        [([folder, name], 'bytes') for folder in 'ab' for name in UNTEXT], True
    )
    @example([(['0001.mp4'], 'up')], True)
    @fuzzed(30)
    def trees(entries, videos):
        shutil.rmtree(tmp_path / 'u', ignore_errors=True)
        build(root, entries)
        if kind is DFEWDataset:
            write_dfew_or_less(root)
        elif kind is FERV39kDataset:
            write_ferv_or_less(root)
        kwargs = dict(source='videos' if videos else 'frames')
        if kind is ClassFolderDataset:
            kwargs['test_ratio'] = 0
        # Links may lead anywhere, and are followed: see SECURITY.md.
        check(kind, root, os.path.normpath, **kwargs)

    trees()


def write_dfew_or_less(root):
    # A file or a link may stand where a folder should.
    with contextlib.suppress(OSError, AssertionError):
        write_dfew(root, [(1, 1), (2, 2)])


def write_ferv_or_less(root):
    with contextlib.suppress(OSError, AssertionError):
        write_ferv(root, ['Action/Happy/0001', 'War/Sad/0002'])


def test_lists_of_clips(tmp_path, barred):
    root = tmp_path / 'u/v/w/set'

    @given(ENTRIES, st.sampled_from(['tree', 'dfew', 'ferv39k']))
    @fuzzed(30)
    def lists_of_clips(entries, layout):
        shutil.rmtree(root, ignore_errors=True)
        build(root, entries)
        for clip in list_clips(str(root)):
            assert clip.startswith(str(root))
        try:
            clips, doubled = find_clips(root, root / 'out', layout)
        except ValueError as error:
            assert 'crop_faces: no clip' in str(error)
            return
        targets = [Path(clip.target) for clip in clips]
        for target in targets:  # where crops are written, below --out
            assert not target.is_absolute()
            assert '..' not in target.parts and target.parts
        assert len(set(targets)) == len(targets)

    lists_of_clips()


def make_deep(root, levels):
    """Folders in folders; no deeper than pytest can remove them."""
    root.mkdir()
    home = os.getcwd()
    try:
        os.chdir(root)
        for _ in range(levels):
            os.mkdir('d')
            os.chdir('d')
    finally:
        os.chdir(home)


@pytest.mark.parametrize('levels', [50, 400])
def test_deep_folders(tmp_path, levels):
    for name in 'ab':
        (tmp_path / 'set' / name).mkdir(parents=True)
        (tmp_path / 'set' / name / '1.mp4').write_bytes(b'x')
    make_deep(tmp_path / 'set/a/deep', levels)
    with bounded():
        try:
            found = find_classes(str(tmp_path / 'set'))
            assert found == (['a', 'b'], 'videos')
        except ValueError as error:
            assert 'ClassFolderDataset' in str(error)
        for listed in (list_clips, lambda path: find_clips(path, path / 'o')):
            try:
                listed(tmp_path / 'set')
            except ValueError as error:
                assert 'deep' in str(error)


def test_links_that_fan_out_come_to_an_end(tmp_path):
    # Ten folders, each with four links to the next: a million ways.
    for level in range(10):
        folder = tmp_path / f'far/{level}'
        folder.mkdir(parents=True)
        for name in 'wxyz':
            (folder / name).symlink_to(tmp_path / f'far/{level + 1}')
    (tmp_path / 'far/10').mkdir()
    (tmp_path / 'far/10/clip.mp4').write_bytes(b'x')
    for name in 'ab':
        (tmp_path / 'set' / name).mkdir(parents=True)
        (tmp_path / 'set' / name / f'{name}.mp4').write_bytes(b'x')
        (tmp_path / 'set' / name / 'links').symlink_to(tmp_path / 'far/0')
    with bounded():
        dataset = ClassFolderDataset(str(tmp_path / 'set'), pipeline=[])
        assert len(dataset) > 0
        assert list_clips(str(tmp_path / 'set'))
        assert find_clips(tmp_path / 'set', tmp_path / 'out')[0]
    write_dfew(tmp_path / 'dfew', [(1, 1), (2, 2)])
    (tmp_path / 'dfew/links').symlink_to(tmp_path / 'far/0')
    with bounded():
        assert len(DFEWDataset(str(tmp_path / 'dfew'), pipeline=[])) == 2
