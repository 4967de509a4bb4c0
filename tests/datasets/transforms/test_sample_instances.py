"""Sampling of a clip as a bag of instances."""

import numpy as np
import pytest
from mmcv.transforms import Compose

from micacl_mm.datasets import SampleInstances
from micacl_mm.registry import TRANSFORMS
from tests.sets import frame_number, write_frames, write_video

LENGTHS = [*range(1, 70), 155, 847]


def draw(transform, length, start=0):
    info = dict(total_frames=length, start_index=start)
    return transform(info)['frame_inds']


def naive_middles(length, segments):
    """The middle frame of each segment, by a plain search."""
    middles = []
    for i in range(segments):
        first, last = i * length // segments, (i + 1) * length // segments
        # No frame of its own in a short clip: where the segment begins.
        frames = [t for t in range(length) if first <= t < last] or [first]
        middles.append(frames[len(frames) // 2])
    return middles


@pytest.mark.parametrize('segments', [4, 16])
def test_middles_against_a_plain_search(segments):
    sample = SampleInstances(segments, test_mode=True)
    np.random.seed(0)
    number = np.random.random()
    np.random.seed(0)
    for length in LENGTHS:
        expected = naive_middles(length, segments)
        assert draw(sample, length).tolist() == expected
        shifted = draw(sample, length, start=1)
        assert (shifted - 1).tolist() == expected
    assert number == np.random.random()  # nothing was drawn


def test_jitter_never_goes_backwards_and_stays_in_its_segment():
    np.random.seed(0)
    for length in LENGTHS:
        for _ in range(3):
            inds = draw(SampleInstances(), length)
            steps = np.diff(inds)
            # Enough frames: none is taken twice. Too few: none is left out.
            if length >= 16:
                assert (steps > 0).all()
            else:
                assert set(steps) <= {0, 1}
                assert set(inds.tolist()) == set(range(length))
            for i, frame in enumerate(inds):
                first = i * length // 16
                last = max((i + 1) * length // 16 - 1, first)
                assert first <= frame <= last < length


@pytest.mark.parametrize('length', [1, 7, 17, 47])
def test_jitter_reaches_every_frame_by_the_seed(length):
    def drawn():
        np.random.seed(0)
        return [draw(SampleInstances(), length).tolist() for _ in range(300)]

    first = drawn()
    assert {frame for inds in first for frame in inds} == set(range(length))
    assert first == drawn()


@pytest.mark.parametrize(
    ('size', 'stride', 'instances'),
    [
        *((4, None, 4), (4, 4, 4), (4, 2, 7), (4, 1, 13)),
        *((16, None, 1), (1, 1, 16)),
    ],
)
def test_windows_against_a_plain_loop(size, stride, instances):
    flat = naive_middles(50, 16)
    sample = SampleInstances(16, size, stride, test_mode=True)
    results = sample(dict(total_frames=50, start_index=0))
    assert sample.num_instances == results['num_clips'] == instances
    assert results['clip_len'] == size
    assert results['frame_interval'] is None
    expected, start = [], 0
    while start + size <= 16:
        expected += flat[start : start + size]
        start += stride or size
    assert results['frame_inds'].tolist() == expected
    assert results['frame_inds'].dtype == np.int32


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        *((args, 'instance_len plus') for args in ((16, 5), (16, 4, 5))),
        ((4, 16), 'num_frames must be instance_len plus'),
        *((args, 'num_frames must be at') for args in ((0,), (16.0,))),
        ((16, 0), 'instance_len must be at least 1'),
        *(((16, 4, n), 'instance_stride must be at') for n in (0, -4)),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        SampleInstances(*args)


@pytest.mark.parametrize('clip', [dict(total_frames=0), dict()])
def test_clip_without_frames(clip):
    with pytest.raises(ValueError, match='total_.* clip 00042.*DecordInit'):
        SampleInstances()(dict(video_id='00042', **clip))


@pytest.mark.parametrize('video', [False, True])
@pytest.mark.parametrize(('stride', 'instances'), [(4, 4), (2, 7)])
def test_pixels_arrive_in_their_place(tmp_path, video, stride, instances):
    info = dict(start_index=0, modality='RGB', label=2)
    if video:
        write_video(tmp_path / '1.mp4', 20)
        info.update(filename=str(tmp_path / '1.mp4'))
        steps = ['DecordInit', 'SampleInstances', 'DecordDecode']
    else:
        write_frames(tmp_path, [f'{n}.png' for n in range(20)])
        info.update(frame_dir=str(tmp_path), total_frames=20)
        info.update(filename_tmpl='{}.png')
        steps = ['SampleInstances', 'RawFrameDecode']
    steps = [dict(type=name) for name in steps]
    steps[-2].update(instance_stride=stride, test_mode=True)
    steps += [dict(type='FormatShape', input_format='NCTHW')]
    steps += [dict(type='PackActionInputs')]
    bag = Compose(list(map(TRANSFORMS.build, steps)))(info)['inputs']
    assert bag.shape[:3] == (instances, 3, 4)
    middles = naive_middles(20, 16)
    for m in range(instances):
        found = [frame_number(bag[m, :, t]) for t in range(4)]
        assert found == middles[m * stride : m * stride + 4]
