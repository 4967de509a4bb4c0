"""Files are written below the output folder.

That they are read below the data root is tested with the split files, that
crops stay below their folder by fuzzing.
"""

import pytest

from micacl_mm.apis.clips import open_clip
from micacl_mm.cli.infer import free_path
from tests.sets import write_frames


@pytest.mark.parametrize('place', ['a/..', 'a', 'a/b/../../a', '.', 'a/..b'])
def test_infer_writes_below_out(tmp_path, monkeypatch, place):
    for name in ('a', 'a/b', 'a/..b', '.'):
        write_frames(tmp_path / 'in' / name, ['1.jpg'])
    monkeypatch.chdir(tmp_path / 'in')
    clip = open_clip(place)
    for name in ('.png', '_annotated.mp4'):
        path = free_path(tmp_path / 'out' / f'{clip.name}{name}', set())
        assert path.resolve().parent == (tmp_path / 'out').resolve()
