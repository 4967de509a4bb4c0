"""Each way in which a file may be broken names the file."""

import cv2
import numpy as np
import pytest

from micacl_mm.engine import guarded_step
from micacl_mm.engine.bad_files import BadFileError
from micacl_mm.engine.guarded_step import GuardedStep
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
    if TRANSFORMS.get(decode) is None:
        pytest.skip('not here')
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
    if not (place == 0 and '9 x 7' in fault):  # then the others differ
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
