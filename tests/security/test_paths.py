"""Files are read below the data root and written below the output folder."""

from pathlib import Path

import pytest

from micacl_mm.apis.clips import open_clip
from micacl_mm.cli.infer import free_path
from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.faces.crop_set import ClipCropper, CropSettings, find_clips
from tests.sets import write_dfew, write_ferv, write_frames

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ('../9', '../../outside/9', '/etc/9', '{root}/../outside/9', '~/9')


@pytest.mark.parametrize('name', OUTSIDE)
def test_dfew_names_no_path(tmp_path, name):
    file = write_dfew(tmp_path / 'set', [(1, 1), (2, 2)])
    write_frames(tmp_path / 'outside/9', ['1.jpg'])
    name = name.format(root=tmp_path / 'set')
    file.write_text(f'{file.read_text()}{name},1\n')
    with pytest.raises(ValueError, match='a row must be'):
        DFEWDataset(str(tmp_path / 'set'), pipeline=[], missing='drop')


@pytest.mark.parametrize(
    'name',
    [
        *('../Happy/0009', 'Action/../0009', 'Action/Happy/..', '/Happy/0009'),
        *('..\\Happy\\0009', './Happy/0009', 'Action/Happy/../../0009'),
    ],
)
def test_ferv39k_leaves_no_folder(tmp_path, name):
    file = write_ferv(tmp_path / 'set', ['Action/Happy/0001'] * 1)
    write_frames(tmp_path / 'Happy/0009', ['1.jpg'])
    file.write_text(f'{file.read_text()}{name} Happy\n')
    with pytest.raises(ValueError, match='a row must be|below data_root'):
        FERV39kDataset(str(tmp_path / 'set'), pipeline=[], missing='drop')


@pytest.mark.parametrize('place', ['a/..', 'a', 'a/b/../../a', '.', 'a/..b'])
def test_infer_writes_below_out(tmp_path, monkeypatch, place):
    for name in ('a', 'a/b', 'a/..b', '.'):
        write_frames(tmp_path / 'in' / name, ['1.jpg'])
    monkeypatch.chdir(tmp_path / 'in')
    clip = open_clip(place)
    for name in ('.png', '_annotated.mp4'):
        path = free_path(tmp_path / 'out' / f'{clip.name}{name}', set())
        assert path.resolve().parent == (tmp_path / 'out').resolve()


@pytest.mark.parametrize('layout', ['tree', 'dfew', 'ferv39k'])
@pytest.mark.parametrize('place', ['in', 'in/a/..', '.', 'in/a', 'in/x.mp4'])
def test_crops_are_written_below_out(tmp_path, monkeypatch, layout, place):
    names = ['a/b/c/1.mp4', 'a/Happy/٣.mp4', 'x.mp4', 'é/..b/y..mp4', '%s.avi']
    for name in names:
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    monkeypatch.chdir(tmp_path)
    out = (tmp_path / 'out').resolve()
    clips, _ = find_clips(Path(place), out, layout)
    assert clips
    for all_faces in (False, True):
        settings = CropSettings(layout=layout, all_faces=all_faces)
        cropper = ClipCropper(out, out / '.scratch', settings, None)
        for clip in clips:
            for target in cropper.targets(clip, 2):
                assert out in target.resolve().parents
