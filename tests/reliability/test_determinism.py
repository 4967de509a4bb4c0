"""The same numbers for the same seed, with any number of workers."""

import random

import numpy as np
import pytest
import torch

from micacl_mm.hooks.bad_files import BadFileList
from micacl_mm.hooks.clip_fetcher import ClipFetcher, Settings
from micacl_mm.hooks.guarded_step import GuardedStep, guard
from micacl_mm.registry import DATASETS

from . import noise
from .fetching import fetch, pixels

HOOK = dict(type='SafeDataHook')


BATCHES = [[3, 1], [0, 0, 5], [1], [4, 2]]


@pytest.mark.parametrize(
    'options',
    [
        dict(num_workers=1),
        dict(num_workers=2, persistent_workers=True),
        dict(num_workers=4, prefetch_factor=1),
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


@pytest.mark.slow  # a worker that is spawned imports everything anew
def test_numbers_do_not_depend_on_how_workers_start(clips, tmp_path):
    expected, _ = fetch(noise.build(clips), BATCHES, tmp_path)
    found, _ = fetch(
        noise.build(clips),
        BATCHES,
        tmp_path,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context='spawn',
    )
    assert all(map(torch.equal, pixels(found), pixels(expected)))


def test_without_seeds_they_do_depend(clips, tmp_path):
    expected, _ = fetch(noise.build(clips), BATCHES, tmp_path, seed=None)
    found, _ = fetch(
        noise.build(clips), BATCHES, tmp_path, seed=None, num_workers=1
    )
    assert not all(map(torch.equal, pixels(found), pixels(expected)))


def test_a_clip_shown_again_is_augmented_anew(clips, tmp_path):
    found, _ = fetch(noise.build(clips), [[2, 2], [2], [2]], tmp_path)
    shown = {image.numpy().tobytes() for image in pixels(found)}
    assert len(shown) == 8  # four times in each of two epochs


def test_seeds_and_ranks_have_numbers_of_their_own(clips, tmp_path):
    dataset = noise.build(clips)
    files = BadFileList(str(tmp_path), 0)
    shown = set()
    for seed, rank in ((0, 0), (0, 1), (1, 0), (-1, 0), (2**40, 0)):
        setting = Settings('raise', seed, rank, 'train')
        (sample,) = ClipFetcher(dataset, setting, files, 0)([3])
        shown.add(sample['inputs'].numpy().tobytes())
    assert len(shown) == 5


def test_the_process_keeps_its_own_random_numbers(clips, tmp_path):
    def draws():
        return random.random(), np.random.rand(), torch.rand(()).item()

    def seed():
        random.seed(1), np.random.seed(1), torch.manual_seed(1)

    setting = Settings('raise', 0, 0, 'train')
    files = BadFileList(str(tmp_path), 0)
    fetcher = ClipFetcher(noise.build(clips), setting, files, 0)
    seed()
    expected = draws()
    seed()
    fetcher([0, 1])
    assert draws() == expected


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
def test_wrappers_of_data_sets(clips, tmp_path, wrapper):
    dataset = DATASETS.build(wrapper(noise.settings(clips)))
    guard(dataset)
    guard(dataset)
    inner = getattr(dataset, 'datasets', None) or [dataset.dataset]
    steps = [s for d in inner for s in d.pipeline.transforms]
    guarded = [s for s in steps if isinstance(s, GuardedStep)]
    assert len(guarded) == len(inner)  # one a pipeline, not two
    assert not any(isinstance(s.step, GuardedStep) for s in guarded)
    found, fetcher = fetch(
        dataset, [[0, 18 % len(dataset)]], tmp_path, 'resample', epochs=1
    )
    first, second = pixels(found)
    assert len(dataset) < 19 or not torch.equal(first, second)
    assert sum(map(len, fetcher.same_class.values())) == len(dataset)


def test_a_training_does_not_depend_on_workers(clips, tmp_path):
    states = []
    for workers in (0, 2):
        torch.manual_seed(workers)
        runner = noise.make_runner(
            clips, tmp_path / str(workers), HOOK, workers=workers, epochs=2
        )
        runner.train()
        iterator = runner.train_dataloader._iterator
        if iterator is not None:
            iterator._shutdown_workers()
        states.append(noise.state(runner))
    noise.assert_same(states[1], states[0])
    other = noise.make_runner(clips, tmp_path / 'other', epochs=2, seed=0)
    other.train()  # without the hook: dropout and crops are others
    assert noise.state(other)[2] != states[0][2]
