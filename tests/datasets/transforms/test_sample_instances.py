"""Sampling of a clip as a bag of instances."""

import math

import numpy as np
import pytest
from mmcv.transforms import Compose

from micacl_mm.datasets import SampleInstances
from micacl_mm.registry import TRANSFORMS
from tests.sets import frame_number, grey, write_frames, write_video

LENGTHS = [*range(1, 70), 155, 847]


def draw(transform, length, **clip):
    return transform(dict(total_frames=length, start_index=0, **clip))


def naive_middles(length, segments):
    """The middle frame of each segment, by a plain search."""
    middles = []
    for i in range(segments):
        frames = [
            t
            for t in range(length)
            if math.floor(i * length / segments) <= t
            and t + 1 <= math.floor((i + 1) * length / segments)
        ]
        # No frame of its own in a short clip: where the segment begins.
        frames = frames or [math.floor(i * length / segments)]
        middles.append(frames[len(frames) // 2])
    return middles


@pytest.mark.parametrize('segments', [4, 16])
def test_middles_against_a_plain_search(segments):
    sample = SampleInstances(segments, test_mode=True)
    for length in LENGTHS:
        expected = naive_middles(length, segments)
        assert draw(sample, length)['frame_inds'].tolist() == expected


def test_jitter_never_goes_backwards_and_stays_in_its_segment():
    np.random.seed(0)
    sample = SampleInstances()
    for length in LENGTHS:
        for _ in range(20):
            inds = draw(sample, length)['frame_inds']
            assert inds.min() >= 0 and inds.max() < length
            steps = np.diff(inds)
            assert (steps >= 0).all()
            # Enough frames: none is taken twice. Too few: none is left out.
            assert (steps > 0).all() if length >= 16 else (steps <= 1).all()
            for i, frame in enumerate(inds):
                first = i * length // 16
                last = max((i + 1) * length // 16 - 1, first)
                assert first <= frame <= last


def test_jitter_reaches_every_frame():
    np.random.seed(0)
    for length in (1, 7, 16, 17, 40, 47):
        seen = set()
        for _ in range(300):
            seen.update(draw(SampleInstances(), length)['frame_inds'].tolist())
        assert seen == set(range(length))


def test_test_mode_is_deterministic_and_draws_nothing():
    sample = SampleInstances(test_mode=True)
    np.random.seed(0)
    inds = [draw(sample, 100)['frame_inds'].tolist() for _ in range(3)]
    assert inds[0] == inds[1] == inds[2]
    number = np.random.random()
    np.random.seed(0)
    assert number == np.random.random()


@pytest.mark.parametrize('test_mode', [True, False])
@pytest.mark.parametrize('length', range(1, 16))
def test_short_clips_repeat_frames_in_order(length, test_mode):
    inds = draw(SampleInstances(test_mode=test_mode), length)['frame_inds']
    assert set(inds.tolist()) == set(range(length))
    assert sorted(inds) == inds.tolist()


@pytest.mark.parametrize(
    ('size', 'stride', 'instances'),
    [
        (4, None, 4),
        (4, 4, 4),
        (4, 2, 7),
        (4, 1, 13),
        (16, None, 1),
        (1, 1, 16),
    ],
)
def test_windows_against_a_plain_loop(size, stride, instances):
    flat = draw(SampleInstances(16, 1, test_mode=True), 50)['frame_inds']
    sample = SampleInstances(16, size, stride, test_mode=True)
    results = draw(sample, 50)
    assert sample.num_instances == results['num_clips'] == instances
    assert results['clip_len'] == size
    assert results['frame_interval'] is None
    expected = []
    start = 0
    while start + size <= 16:
        expected += flat[start : start + size].tolist()
        start += stride or size
    assert results['frame_inds'].tolist() == expected
    assert results['frame_inds'].dtype == np.int32


@pytest.mark.parametrize(
    'args',
    [(16, 5), (16, 4, 5), (4, 16)],
)
def test_windows_that_do_not_fit(args):
    with pytest.raises(ValueError, match='num_frames must be instance_len'):
        SampleInstances(*args)


@pytest.mark.parametrize(
    ('kwargs', 'name'),
    [
        (dict(num_frames=0), 'num_frames'),
        (dict(instance_len=0), 'instance_len'),
        (dict(instance_stride=0), 'instance_stride'),
        (dict(instance_stride=-4), 'instance_stride'),
        (dict(num_frames=16.0), 'num_frames'),
    ],
)
def test_sizes_must_be_positive(kwargs, name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1'):
        SampleInstances(**kwargs)


@pytest.mark.parametrize('clip', [dict(total_frames=0), dict()])
def test_clip_without_frames(clip):
    with pytest.raises(
        ValueError, match='total_frames .* clip 00042'
    ) as error:
        SampleInstances()(dict(video_id='00042', **clip))
    assert 'DecordInit' in str(error.value)


def build(sampler, decode):
    transforms = [
        *decode[:1],
        dict(type='SampleInstances', test_mode=True, **sampler),
        *decode[1:],
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    return Compose([TRANSFORMS.build(t) for t in transforms if t])


@pytest.mark.parametrize(('stride', 'instances'), [(4, 4), (2, 7)])
def test_pixels_of_frames_arrive_in_their_place(tmp_path, stride, instances):
    names = [f'{n}.png' for n in range(20)]
    write_frames(tmp_path, names)
    pipeline = build(
        dict(instance_stride=stride), [None, dict(type='RawFrameDecode')]
    )
    packed = pipeline(
        dict(
            frame_dir=str(tmp_path),
            filename_tmpl='{}.png',
            total_frames=20,
            start_index=0,
            modality='RGB',
            label=2,
        )
    )
    bag = packed['inputs']
    assert bag.shape == (instances, 3, 4, 16, 16)
    middles = naive_middles(20, 16)
    for m in range(instances):
        for t in range(4):
            expected = grey(middles[m * stride + t]).transpose(2, 0, 1)
            np.testing.assert_array_equal(bag[m, :, t].numpy(), expected)


def test_pixels_of_a_video_arrive_in_their_place(tmp_path):
    write_video(tmp_path / '1.mp4', 20)
    pipeline = build(
        dict(), [dict(type='DecordInit'), dict(type='DecordDecode')]
    )
    packed = pipeline(
        dict(
            filename=str(tmp_path / '1.mp4'),
            start_index=0,
            modality='RGB',
            label=2,
        )
    )
    bag = packed['inputs']
    assert bag.shape == (4, 3, 4, 64, 64)
    numbers = [frame_number(bag[m, :, t]) for m in range(4) for t in range(4)]
    assert numbers == naive_middles(20, 16)
