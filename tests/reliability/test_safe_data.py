"""The same numbers for the same seed, with any number of workers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import loops

from micacl_mm.hooks import SafeDataHook
from micacl_mm.registry import DATASETS

from . import noise
from .fetching import fetch, pixels

BATCHES = [[3, 1], [0, 0, 5], [1], [4, 2]]


@pytest.mark.parametrize(
    'options',
    [
        dict(num_workers=1),
        dict(num_workers=2, persistent_workers=True),
        dict(num_workers=3, prefetch_factor=1),
    ],
    ids=str,
)
def test_numbers_do_not_depend_on_workers(clips, tmp_path, options):
    expected, _ = fetch(noise.build(clips), BATCHES, tmp_path)
    torch.manual_seed(5)
    np.random.seed(5)
    found, _ = fetch(noise.build(clips), BATCHES, tmp_path, **options)
    assert len(pixels(found)) == 16
    assert all(map(torch.equal, pixels(found), pixels(expected)))


def test_a_clip_shown_again_is_augmented_anew(clips, tmp_path):
    found, _ = fetch(noise.build(clips), [[2, 2], [2], [2]], tmp_path)
    shown = {image.numpy().tobytes() for image in pixels(found)}
    assert len(shown) == 8  # four times in each of two epochs


def test_seeds_have_numbers_of_their_own(clips, tmp_path):
    shown = set()
    for seed in (0, 1, -1, 2**40):
        found, _ = fetch(
            noise.build(clips), [[3]], tmp_path, seed=seed, epochs=1
        )
        shown.add(pixels(found)[0].numpy().tobytes())
    assert len(shown) == 4


@pytest.mark.parametrize(
    'wrapper',
    [
        lambda d: dict(
            type='ClassBalancedDataset',
            oversample_thr=1,
            dataset=dict(d, type='CountedClips'),
        ),
        lambda d: dict(type='RepeatDataset', times=2, dataset=d),
        lambda d: dict(type='ConcatDataset', datasets=[d, d]),
    ],
)
def test_wrappers_of_datasets(spoilt, tmp_path, wrapper):
    folder, (bad, *_) = spoilt
    dataset = DATASETS.build(wrapper(noise.settings(folder)))
    (batches,), log = fetch(
        dataset, [[0, 18 % len(dataset), bad]], tmp_path, 'resample', epochs=1
    )
    first, second, _ = pixels([batches])
    assert len(dataset) < 19 or not torch.equal(first, second)
    assert 'train, epoch 1: 1 clips could not be read' in log


def test_a_training_does_not_depend_on_workers(clips, tmp_path):
    states = []
    for workers in (0, 2):
        torch.manual_seed(workers)
        hook = dict(type='SafeDataHook')
        runner = noise.make_runner(
            clips, tmp_path / str(workers), hook, workers=workers, epochs=2
        )
        runner.train()
        states.append(noise.state(runner))
    noise.assert_same(states[1], states[0])
    other = noise.make_runner(clips, tmp_path / 'other', epochs=2, seed=0)
    other.train()  # without the hook: other dropout and crops
    assert noise.state(other)[2] != states[0][2]


def by_iterations(folder, work_dir, sampler, workers=0, count=7, **options):
    """The first batches of a training by iterations: two passes."""
    runner = noise.make_runner(folder, work_dir, workers=workers)
    loader = runner._train_dataloader
    loader['sampler'] = dict(type=sampler, shuffle=True, seed=3)
    runner._train_loop = runner.build_train_loop(
        dict(type='IterBasedTrainLoop', max_iters=9)
    )
    loop, hook = runner.train_loop, SafeDataHook(**options)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    found = [next(loop.dataloader_iterator) for _ in range(count)]
    for batch in found:
        hook.after_train_iter(runner, 0, batch)
    hook.after_train_epoch(runner)
    return [image for batch in found for image in batch['inputs']]


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_numbers_by_iterations_do_not_depend_on_workers(
    clips, tmp_path, sampler, monkeypatch
):
    monkeypatch.setattr(loops, 'time', SimpleNamespace(sleep=lambda s: None))
    torch.manual_seed(1)
    expected = by_iterations(clips, tmp_path / '0', sampler)
    torch.manual_seed(2)
    found = by_iterations(clips, tmp_path / '2', sampler, 2)
    assert len(found) == len(expected) >= 26
    assert all(map(torch.equal, found, expected))
    assert len({image.numpy().tobytes() for image in found}) == len(found)


def test_bad_files_by_iterations_are_replaced(spoilt, tmp_path):
    found = by_iterations(
        spoilt[0],
        tmp_path,
        'DefaultSampler',
        1,
        count=5,
        bad_data='resample',
    )
    assert len(found) == 18
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'train, iteration 0: 3 clips could not be read' in log
