from collections import Counter
from itertools import chain

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, sampler
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from micacl_mm.datasets import ClassBalancedSampler
from micacl_mm.datasets.samplers import ClassAwareBatchSampler

from .test_samplers import COUNTS, LABELS, Labels


def build(labels=LABELS, batch_size=8, seed=0, base=None, world=1, **options):
    base = base or DefaultSampler(Labels(labels), seed=seed)
    base.world_size = world
    base.num_samples = -(-len(base.dataset) // world)
    return ClassAwareBatchSampler(base, batch_size, **options)


def epochs(batches, number):
    for epoch in range(number):
        batches.sampler.set_epoch(epoch)
        yield list(batches.joint_batches())


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('m', [1, 2, 3, 8])
@pytest.mark.parametrize('world, batch_size', [(1, 8), (3, 5)])
def test_no_clip_is_alone_in_its_class(power, m, world, batch_size):
    batches = build(
        batch_size=batch_size, world=world, samples_per_class=m, power=power
    )
    for epoch in epochs(batches, 3):
        assert len(epoch) == len(batches)
        for batch in epoch:
            assert len(batch) == world * batch_size
            found = Counter(LABELS[index] for index in batch)
            assert min(found.values()) >= m
            for label, times in found.items():
                clips = [i for i in batch if LABELS[i] == label]
                distinct = min(times, COUNTS[label])
                assert len(set(clips)) == distinct


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('m, batch_size', [(2, 8), (3, 7)])
def test_classes_are_shown_as_the_formula_says(power, m, batch_size):
    number = 150
    batches = build(batch_size=batch_size, samples_per_class=m, power=power)
    found = Counter(
        LABELS[i] for epoch in epochs(batches, number) for i in chain(*epoch)
    )
    masses = torch.tensor(COUNTS).double() ** (1 - power)
    clips = number * len(batches) * batch_size
    groups = number * len(batches) * (batch_size // m)
    for label, mass in enumerate(masses):
        share = (mass / masses.sum()).item()
        # Whole groups: the number of an epoch is within one of its mean,
        # the larger ones of a batch fall on a class by chance.
        spread = m * (0.25 * number + share * groups) ** 0.5
        assert abs(found[label] - share * clips) < 4 * spread


def test_a_class_gets_its_share_in_every_single_epoch():
    batches = build(batch_size=10)
    for epoch in epochs(batches, 20):
        found = Counter(LABELS[index] for index in chain(*epoch))
        for label, n in enumerate(COUNTS):
            assert abs(found[label] - n) <= 2  # one group of two


def test_an_epoch_covers_the_clips():
    labels = [0] * 60 + [1] * 36 + [2] * 4  # divisible by all that matters
    batches = build(labels, batch_size=10)
    for epoch in epochs(batches, 5):
        assert sorted(chain(*epoch)) == list(range(100))
    for epoch in epochs(build(batch_size=10), 20):
        times = Counter(chain(*epoch))
        for label, n in enumerate(COUNTS):
            own = [times[i] for i, one in enumerate(LABELS) if one == label]
            assert max(own) - min(own) <= (1 if n > 1 else 0)
            assert own.count(0) <= 2


@pytest.mark.parametrize('world', [2, 4])
@pytest.mark.parametrize('drop_last', [True, False])
def test_ranks_take_disjoint_shares_of_one_draw(monkeypatch, world, drop_last):
    shares = []
    for rank in range(world):
        monkeypatch.setattr(
            sampler, 'get_dist_info', lambda rank=rank: (rank, world)
        )
        base = DefaultSampler(Labels(), seed=3)
        batches = ClassAwareBatchSampler(base, 6, drop_last=drop_last)
        base.set_epoch(4)
        shares.append(list(batches))
        assert len(shares[-1]) == len(batches)
        assert all(len(batch) == 6 for batch in shares[-1])
        # As many as a loader makes of the sampler itself.
        loader = torch.utils.data.DataLoader(
            base.dataset, 6, sampler=base, drop_last=drop_last
        )
        assert len(batches) == len(loader)
    for parts, joint in zip(
        zip(*shares, strict=True), batches.joint_batches(), strict=True
    ):
        assert sorted(chain(*parts)) == sorted(joint)
    monkeypatch.setattr(sampler, 'get_dist_info', lambda: (0, 1))
    alone = DefaultSampler(Labels(), seed=3)
    alone.set_epoch(4)
    alone = ClassAwareBatchSampler(alone, 6 * world, drop_last=drop_last)
    assert list(alone) == list(batches.joint_batches())


def test_epochs_differ_and_come_again():
    batches = build()
    first, second = epochs(batches, 2)
    assert first != second
    again = build()
    again.sampler.set_epoch(1)  # a training resumed there
    assert list(again) == second
    assert next(epochs(build(seed=1), 1)) != first


def test_the_power_of_a_balanced_sampler_stays():
    base = ClassBalancedSampler(Labels(), power=1.0, seed=0)
    assert build(base=base).power == 1
    assert build(base=base, power=0.0).power == 0
    assert build().power == 0


@pytest.mark.parametrize('labels', [[0] * 8, [0] * 7 + [5], [0, 1, 2, 3]])
def test_one_class_one_clip_and_clips_without_any_partner(labels):
    batches = build(labels, batch_size=4)
    for epoch in epochs(batches, 5):
        for batch in epoch:
            found = Counter(labels[index] for index in batch)
            assert len(batch) == 4 and min(found.values()) >= 2


def test_a_loader_of_a_config_runs_it_by_epochs():
    loader = Runner.build_dataloader(
        dict(
            batch_size=10,
            num_workers=0,
            drop_last=False,
            dataset=Labels(),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='mmaction.ClassAwareBatchSampler'),
            collate_fn=dict(type='default_collate'),
        ),
        seed=3,
    )
    assert len(loader) == 10
    found = []
    for epoch in range(2):
        loop = type('Loop', (), {'dataloader': loader})
        runner = type('Runner', (), {'train_loop': loop, 'epoch': epoch})
        DistSamplerSeedHook().before_train_epoch(runner)
        found.append([batch['sample_idx'].tolist() for batch in loader])
    expected = build(batch_size=10, seed=3)
    assert found == list(epochs(expected, 2))


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(samples_per_class=9), 'from 1 to the batch of all ranks, 8'),
        (dict(samples_per_class=0), 'from 1 to'),
        (dict(power=-1.0), 'power must be at least 0'),
        (dict(batch_size=101), 'more than the 100 clips'),
        (dict(labels=[[0, 1], [1]] * 4), 'video 0 has the label'),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        build(**options)
    with pytest.raises(TypeError, match='got InfiniteSampler'):
        ClassAwareBatchSampler(InfiniteSampler(Labels()), 4)
