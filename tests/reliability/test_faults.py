"""Each way in which a file may be broken names the file."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose

from micacl_mm.datasets.frame_names import FrameNames
from micacl_mm.hooks import guarded_step
from micacl_mm.hooks.bad_files import BadFileError
from micacl_mm.hooks.frame_faults import clip_faults
from micacl_mm.hooks.guarded_step import GuardedStep, guard
from micacl_mm.registry import TRANSFORMS

from . import noise

FAULTS = {
    'is empty': lambda p: p.write_bytes(b''),
    'cut off': lambda p: p.write_bytes(
        p.read_bytes()[: -p.stat().st_size // 2]
    ),
    'no end': lambda p: p.write_bytes(p.read_bytes()[:-2]),
    'cannot be decoded': lambda p: p.write_text('no picture\n' * 9),
    'is missing': lambda p: p.unlink(),
    'is a directory': lambda p: (p.unlink(), p.mkdir()),
    r'is 9 x 7 px|9 x 7': lambda p: cv2.imwrite(
        str(p), np.zeros((7, 9, 3), np.uint8)
    ),
}


@pytest.mark.parametrize('place', [0, 2])
@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('decode', ['RawFrameDecode', 'FaceFrameDecode'])
@pytest.mark.parametrize('fault', FAULTS)
def test_faults_of_frames_name_the_file(
    tmp_path, decode, suffix, place, fault
):
    (clip,) = noise.draw(tmp_path, 1, suffix)
    results = dict(
        frame_dir=str(clip),
        filename_tmpl='{:03}.' + suffix,
        frame_inds=np.array([0, 1, 2, 2]),
        modality='RGB',
    )
    step = GuardedStep(TRANSFORMS.build(dict(type=decode)))
    assert len(step(dict(results))['imgs']) == 4
    path = clip / f'{place:03}.{suffix}'
    FAULTS[fault](path)
    with pytest.raises(BadFileError, match=f'(?i){fault}') as caught:
        step(dict(results))
    assert path.name in str(caught.value)


@pytest.mark.parametrize('fault', ['empty', 'text', 'cut off'])
def test_faults_of_videos_name_the_file(tmp_path, fault):
    pytest.importorskip('decord')
    path = tmp_path / 'clip.mp4'
    code = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), code, 25, (32, 32))
    draw = np.random.RandomState(0)
    for _ in range(20):
        writer.write(draw.randint(0, 255, (32, 32, 3), np.uint8))
    writer.release()
    steps = [
        GuardedStep(TRANSFORMS.build(dict(type=name)))
        for name in ('DecordInit', 'DecordDecode')
    ]

    def run():
        results = steps[0](dict(filename=str(path)))
        results['frame_inds'] = np.array([0, 19])
        return steps[1](results)

    assert len(run()['imgs']) == 2
    if fault == 'cut off':
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_text('' if fault == 'empty' else 'no video\n' * 9)
    with pytest.raises(BadFileError, match='clip.mp4'):
        run()


def picture(height, width):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize('decode', ['RawFrameDecode', 'FaceFrameDecode'])
def test_the_odd_frame_is_that_of_the_whole_clip(tmp_path, decode):
    (clip,) = noise.draw(tmp_path, 1)
    results = dict(
        frame_dir=str(clip),
        filename_tmpl='{:03}.jpg',
        frame_inds=np.array([0, 1]),  # of which each is odd to the other
        modality='RGB',
        total_frames=4,
        start_index=0,
    )
    step = GuardedStep(TRANSFORMS.build(dict(type=decode)))
    cv2.imwrite(str(clip / '000.jpg'), picture(7, 9))
    with pytest.raises(BadFileError, match='9 x 7.* 16 x 16') as caught:
        step(dict(results))
    assert caught.value.path == str(clip / '000.jpg')
    cv2.imwrite(str(clip / '003.jpg'), picture(7, 9))
    with pytest.raises(BadFileError, match='9 x 7|differ|size') as caught:
        step(dict(results))
    assert caught.value.path == str(clip)  # two of two: who can say?


def test_sizes_of_a_clip_without_files_name_the_clip():
    step = GuardedStep(lambda results: results)
    images = [picture(4, 4), picture(4, 4), picture(5, 4)]
    with pytest.raises(BadFileError, match='a.mp4 has frames of 4 x 4 and 4 '):
        step(dict(filename='a.mp4', imgs=images))


def test_faults_of_a_clip(tmp_path):
    (clip,) = noise.draw(tmp_path, 1)
    paths = [str(clip / f'{number:03}.jpg') for number in range(5)]
    assert clip_faults([]) == {}
    assert clip_faults(paths) == {paths[4]: 'is missing'}
    Path(paths[1]).write_bytes(b'')
    cv2.imwrite(paths[0], picture(7, 9))
    faults = clip_faults(paths)
    assert list(faults) == [paths[1], paths[4], paths[0]]
    cv2.imwrite(paths[2], picture(7, 9))
    cv2.imwrite(paths[4], picture(16, 16))
    assert list(clip_faults(paths)) == [paths[1]]  # two of each size


def test_only_files_of_the_clip_are_looked_at(tmp_path, monkeypatch):
    (folder,) = noise.draw(tmp_path, 1)
    for number in range(4, 400):
        (folder / f'{number:03}.jpg').write_bytes(b'')
    results = dict(
        frame_dir=str(folder),
        filename_tmpl='{:03}.jpg',
        frame_inds=np.array([3, 5]),
        modality='RGB',
        offset=1,
        total_frames=4,
        start_index=2,
    )
    step = GuardedStep(TRANSFORMS.build(dict(type='RawFrameDecode')))

    def names(**more):
        with pytest.raises(BadFileError) as caught:
            step({**results, **more})
        return [Path(path).name for path in caught.value.frames]

    expected = ['004.jpg', '006.jpg', '003.jpg', '005.jpg']
    assert names() == expected
    assert len(names(total_frames=390)) == 300
    assert names(start_index=None) == expected[:2]
    ours = FrameNames([f'{number:03}.jpg' for number in (9, 2, 7)])
    given = dict(offset=0, start_index=0, frame_inds=np.array([2]))
    for total in (3, 5):
        found = names(filename_tmpl=ours, total_frames=total, **given)
        assert found == ['007.jpg', '009.jpg', '002.jpg']


@pytest.mark.parametrize('kind', [KeyError, TypeError, AttributeError])
def test_errors_of_code_are_let_through_unless_a_file_is_broken(
    tmp_path, kind
):
    (clip,) = noise.draw(tmp_path, 1)
    path = clip / '001.jpg'

    def wrong(results):
        raise kind('offset')

    results = dict(
        frame_dir=str(clip),
        filename_tmpl='{:03}.jpg',
        frame_inds=np.arange(3),
    )
    for given in (results, dict(img_path=str(path)), {}):
        with pytest.raises(kind, match='offset'):
            GuardedStep(wrong)(given)
    path.write_bytes(b'no picture')
    for given in (results, dict(img_path=str(path))):
        with pytest.raises(BadFileError, match='001.jpg cannot be decoded'):
            GuardedStep(wrong)(given)


def test_transforms_that_load_are_watched(tmp_path):
    kinds = ('LoadRGBFromFile', 'Flip')
    pipeline = Compose([TRANSFORMS.build(dict(type=kind)) for kind in kinds])
    dataset = SimpleNamespace(pipeline=pipeline)
    guard(dataset)
    watched = [isinstance(s, GuardedStep) for s in pipeline.transforms]
    assert watched == [True, False]
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'no picture')
    with pytest.raises(BadFileError, match='a.jpg cannot be decoded'):
        pipeline(dict(img_path=str(path)))


def test_what_is_not_the_fault_of_a_file_is_an_error_still():
    class OutOfMemory:
        def __call__(self, results):
            raise MemoryError

    class TooManyFiles:
        def __call__(self, results):
            raise OSError(24, 'Too many open files')

    for step in (OutOfMemory(), TooManyFiles()):
        with pytest.raises((MemoryError, OSError)) as caught:
            GuardedStep(step)({})
        assert not isinstance(caught.value, BadFileError)


def test_half_pictures_are_seen_where_the_decoder_fills_them_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(guarded_step, 'cv2_sees_cuts', lambda: False)

    def lenient(results):
        return {**results, 'imgs': [np.zeros((4, 4, 3))] * 3}

    for suffix in ('jpg', 'png', 'bmp'):
        (clip,) = noise.draw(tmp_path / suffix, 1, suffix)
        results = dict(
            frame_dir=str(clip),
            filename_tmpl='{:03}.' + suffix,
            frame_inds=np.arange(3),
        )
        step = GuardedStep(lenient)
        assert step(results)['imgs']
        path = clip / f'001.{suffix}'
        path.write_bytes(path.read_bytes()[:-40])
        if suffix == 'bmp':  # has no end to look at
            assert step(results)['imgs']
            continue
        with pytest.raises(BadFileError, match=f'001.{suffix} is cut off'):
            step(results)
