"""Folders of any shape: clips below the root, or a documented error."""

import contextlib
import os
import shutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.apis.clips import list_clips
from micacl_mm.datasets import (
    ClassFolderDataset,
    DFEWDataset,
    FERV39kDataset,
)
from micacl_mm.faces.crop_set import find_clips
from tests.sets import touch, write_dfew, write_ferv

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
#: Where links lead to, beside folders and files.
LINKS = {'up': '..', 'root': '{root}', 'self': '{name}', 'other': '{other}'}
KINDS = ('folder', 'folder', 'empty', 'bytes', *LINKS)
ENTRIES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
        st.sampled_from(KINDS),
    ),
    max_size=20,
)


def build(root, entries):
    """Lay out a tree; what is in the way of another stays out."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for parts, kind in entries:
        path = root.joinpath(*parts)
        with contextlib.suppress(OSError):
            folder = path if kind == 'folder' else path.parent
            folder.mkdir(parents=True, exist_ok=True)
            if kind in LINKS:
                other = min(map(str, root.iterdir()), default='gone')
                path.symlink_to(
                    LINKS[kind].format(root=root, name=path.name, other=other)
                )
            elif kind != 'folder':
                path.write_bytes(b'' if kind == 'empty' else b'\xff\xd8\xff')


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Up to three levels above it nothing; some folders cannot be read."""
    scan = os.scandir

    def refuse(path='.'):
        if isinstance(path, str) and 'unreadable' in path:
            raise PermissionError(13, 'Permission denied', os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    yield tmp_path / 'u/v/w/set'
    monkeypatch.undo()


@pytest.mark.parametrize(
    'kind', [ClassFolderDataset, DFEWDataset, FERV39kDataset]
)
def test_trees(root, kind):
    @given(ENTRIES, st.booleans())
    @example([(['a', '1', '1.jpg'], 'bytes'), (['b', '1.jpg'], 'bytes')], True)
    @example(
        [([folder, name], 'bytes') for folder in 'ab' for name in UNTEXT], True
    )
    @example([(['0001.mp4'], 'up')], True)
    @fuzzed(20)
    def trees(entries, videos):
        build(root, entries)
        kwargs = dict(source='videos' if videos else 'frames')
        # A file or a link may be where a folder should.
        with contextlib.suppress(OSError, AssertionError):
            if kind is DFEWDataset:
                write_dfew(root, [(1, 1), (2, 2)])
            elif kind is FERV39kDataset:
                write_ferv(root, ['Action/Happy/0001', 'War/Sad/0002'])
            else:
                kwargs['test_ratio'] = 0
        # Links may lead anywhere, and are followed: see SECURITY.md.
        with bounded():
            check(kind, root, os.path.normpath, **kwargs)

    trees()


def test_links_that_fan_out_come_to_an_end(tmp_path):
    # Ten folders, each with four links to the next: a million ways.
    for level in range(10):
        (tmp_path / f'far/{level}').mkdir(parents=True)
        for name in 'wxyz':
            link = tmp_path / f'far/{level}/{name}'
            link.symlink_to(tmp_path / f'far/{level + 1}')
    touch(tmp_path / 'far/10/clip.mp4')
    for name in 'ab':
        touch(tmp_path / f'set/{name}/{name}.mp4')
        (tmp_path / 'set' / name / 'links').symlink_to(tmp_path / 'far/0')
    write_dfew(tmp_path / 'dfew', [(1, 1), (2, 2)])
    (tmp_path / 'dfew/links').symlink_to(tmp_path / 'far/0')
    with bounded():
        assert len(ClassFolderDataset(str(tmp_path / 'set'), pipeline=[]))
        assert list_clips(str(tmp_path / 'set'))
        assert find_clips(tmp_path / 'set', tmp_path / 'out')[0]
        assert len(DFEWDataset(str(tmp_path / 'dfew'), pipeline=[])) == 2
