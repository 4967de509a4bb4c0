"""The walker of folders: links, strays, depth and thumbnails."""

import os

import pytest

from micacl_mm.datasets.class_folder_dataset import find_classes
from micacl_mm.utils.folders import DEEPEST, find_clips, walk
from tests.sets import touch


def listed(root, **kwargs):
    return [os.path.relpath(f.path, root) for f in walk(str(root), **kwargs)]


def test_folders_come_from_the_top_in_natural_order(tmp_path):
    for name in ('b/10', 'b/9', 'a', '.git', '__MACOSX', '@eaDir'):
        touch(tmp_path / name / 'x.mp4')
    assert listed(tmp_path) == ['.', 'a', 'b', 'b/9', 'b/10']
    assert listed(tmp_path, depth=1) == ['.', 'a', 'b']
    folders = walk(str(tmp_path))
    next(folders).folders[:] = []  # as with os.walk
    assert not list(folders)


def test_links_are_followed_but_never_up_and_end(tmp_path):
    touch(tmp_path / 'far/deep/1.mp4')
    (tmp_path / 'set/a').mkdir(parents=True)
    for name, target in [
        *(('far', tmp_path / 'far'), ('up', tmp_path), ('self', 'self')),
        *(('here', '.'), ('a/root', tmp_path / 'set')),
    ]:
        (tmp_path / 'set' / name).symlink_to(target)
    found = listed(tmp_path / 'set')
    assert found == ['.', 'a', 'far', 'far/deep']


def test_folders_that_cannot_be_listed_say_why(tmp_path, monkeypatch):
    (tmp_path / 'barred').mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('barred'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    errors = [folder.error for folder in walk(str(tmp_path))]
    assert errors[0] is None and isinstance(errors[1], PermissionError)


def test_too_deep(tmp_path):
    for name in 'ab':
        touch(tmp_path / name / '1.mp4')
    home = os.getcwd()
    try:
        os.chdir(tmp_path / 'a')
        for _ in range(DEEPEST + 2):
            os.mkdir('d')
            os.chdir('d')
    finally:
        os.chdir(home)
    with pytest.raises(ValueError, match='not be deeper than 100 levels'):
        list(walk(str(tmp_path)))
    with pytest.raises(ValueError, match='not be deeper'):
        find_classes(str(tmp_path))


def test_clips_in_any_nesting(tmp_path):
    for name in (
        *('1.mp4', '10.avi', '9.mkv', 'cover.jpg', 'notes.txt'),
        *('frames/1.jpg', 'person/a/1.png', 'person/b.mp4', 'person/me.jpg'),
        *('deep/er/x/1.jpg', 'deep/er/x/2.jpg', 'deep/er.jpg', 'bare/a.txt'),
    ):
        touch(tmp_path / name)
    found = find_clips(str(tmp_path))
    names = [os.path.relpath(clip.path, tmp_path) for clip in found]
    videos = ['1.mp4', '9.mkv', '10.avi']
    assert names[:3] == videos and all(c.is_video for c in found[:3])
    assert sorted(names[3:]) == [
        *('deep/er/x', 'frames', 'person/a', 'person/b.mp4'),
    ]
    below = find_clips(str(tmp_path), lambda path: path.endswith('person'))
    assert len(below) == len(found) - 2
    assert find_clips(str(tmp_path / 'frames'))[0].is_video is False
    assert find_clips(str(tmp_path / 'bare')) == []
