"""Both samplers by class, against their formulas."""

from collections import Counter
from itertools import chain

import pytest
import torch
from mmengine.dataset import (
    BaseDataset,
    DefaultSampler,
    InfiniteSampler,
    sampler,
)
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from micacl_mm.datasets import ClassAwareBatchSampler, ClassBalancedSampler

COUNTS = (75, 20, 4, 1)
LABELS = [label for label, n in enumerate(COUNTS) for _ in range(n)]


class Labels(BaseDataset):
    """Videos that are nothing but their labels."""

    def __init__(self, labels=LABELS):
        self.labels = labels
        super().__init__()

    def load_data_list(self):
        return [{'label': label} for label in self.labels]


def balanced(labels=LABELS, seed=0, **options):
    return ClassBalancedSampler(Labels(labels), seed=seed, **options)


def aware(labels=LABELS, batch_size=8, seed=0, base=None, world=1, **options):
    base = base or DefaultSampler(Labels(labels), seed=seed)
    base.world_size = world
    base.num_samples = -(-len(base.dataset) // world)
    return ClassAwareBatchSampler(base, batch_size, **options)


@pytest.fixture
def rank(monkeypatch):
    """Call it with (rank, world size) to be that process."""

    def be(rank, world_size):
        monkeypatch.setattr(
            sampler, 'get_dist_info', lambda: (rank, world_size)
        )

    return be


def draws(sampler, epochs):
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        yield from sampler


def epochs(batches, number):
    for epoch in range(number):
        batches.sampler.set_epoch(epoch)
        yield list(batches.joint_batches())


def shares(power):
    masses = torch.tensor(COUNTS).double() ** (1 - power)
    return (masses / masses.sum()).tolist()


# ---- clips


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
def test_classes_are_drawn_by_the_formula(power):
    found = Counter(LABELS[i] for i in draws(balanced(power=power), 60))
    total = 60 * len(LABELS)
    for label, share in enumerate(shares(power)):
        spread = (share * (1 - share) / total) ** 0.5
        assert abs(found[label] / total - share) < 4 * spread


def test_videos_of_a_class_are_drawn_alike():
    found = Counter(draws(balanced(), 100))
    for label, n in enumerate(COUNTS):
        each = torch.tensor(
            [found[i] for i, own in enumerate(LABELS) if own == label]
        ).float()
        # Chi-squared with n - 1 degrees of freedom, about five deviations.
        chi = ((each - each.mean()) ** 2 / each.mean()).sum()
        assert chi < n - 1 + 5 * (2 * n) ** 0.5


@pytest.mark.parametrize('world_size', [1, 3, 8])
def test_ranks_share_one_draw_as_long_as_an_epoch(rank, world_size):
    parts = []
    for number in range(world_size):
        rank(number, world_size)
        sampler = balanced(seed=5)
        sampler.set_epoch(2)
        assert len(sampler) == len(DefaultSampler(Labels(), seed=5))
        parts.append(list(sampler))
        assert len(parts[-1]) == len(sampler)
    rank(0, 1)
    alone = balanced(seed=5)
    alone.total_size = sum(map(len, parts))
    alone.set_epoch(2)
    joined = [index for turn in zip(*parts, strict=True) for index in turn]
    assert joined == list(alone)


# ---- batches


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('m', [1, 3, 8])
@pytest.mark.parametrize('world, batch_size', [(1, 8), (3, 5)])
def test_no_clip_is_alone_in_its_class(power, m, world, batch_size):
    options = dict(samples_per_class=m, power=power)
    batches = aware(batch_size=batch_size, world=world, **options)
    for epoch in epochs(batches, 3):
        assert len(epoch) == len(batches)
        for batch in epoch:
            assert len(batch) == world * batch_size
            found = Counter(LABELS[index] for index in batch)
            assert min(found.values()) >= m
            for label, times in found.items():
                clips = [i for i in batch if LABELS[i] == label]
                assert len(set(clips)) == min(times, COUNTS[label])


@pytest.mark.parametrize('power, m, batch_size', [(0.0, 2, 8), (0.5, 3, 7)])
def test_classes_are_shown_as_the_formula_says(power, m, batch_size):
    number = 60
    batches = aware(batch_size=batch_size, samples_per_class=m, power=power)
    found = Counter(
        LABELS[i] for epoch in epochs(batches, number) for i in chain(*epoch)
    )
    clips = number * len(batches) * batch_size
    groups = number * len(batches) * (batch_size // m)
    for label, share in enumerate(shares(power)):
        # Whole groups: the number of an epoch is within one of its mean,
        # the larger ones of a batch fall on a class by chance.
        spread = m * (0.25 * number + share * groups) ** 0.5
        assert abs(found[label] - share * clips) < 4 * spread


def test_an_epoch_covers_the_clips():
    labels = [0] * 60 + [1] * 36 + [2] * 4  # divisible by all that matters
    for epoch in epochs(aware(labels, batch_size=10), 5):
        assert sorted(chain(*epoch)) == list(range(100))
    for epoch in epochs(aware(batch_size=10), 20):
        times = Counter(chain(*epoch))
        for label, n in enumerate(COUNTS):
            own = [times[i] for i, one in enumerate(LABELS) if one == label]
            assert abs(sum(own) - n) <= 2  # one group of two
            assert max(own) - min(own) <= (1 if n > 1 else 0)
            assert own.count(0) <= 2


@pytest.mark.parametrize('world', [2, 4])
@pytest.mark.parametrize('drop_last', [True, False])
def test_ranks_take_disjoint_shares_of_one_draw(rank, world, drop_last):
    parts = []
    for number in range(world):
        rank(number, world)
        base = DefaultSampler(Labels(), seed=3)
        batches = ClassAwareBatchSampler(base, 6, drop_last=drop_last)
        base.set_epoch(4)
        parts.append(list(batches))
        assert all(len(batch) == 6 for batch in parts[-1])
        # As many as a loader makes of the sampler itself.
        loader = torch.utils.data.DataLoader(
            base.dataset, 6, sampler=base, drop_last=drop_last
        )
        assert len(parts[-1]) == len(batches) == len(loader)
    joint = list(batches.joint_batches())
    for shared, batch in zip(zip(*parts, strict=True), joint, strict=True):
        assert sorted(chain(*shared)) == sorted(batch)
    rank(0, 1)
    base = DefaultSampler(Labels(), seed=3)
    base.set_epoch(4)
    alone = ClassAwareBatchSampler(base, 6 * world, drop_last=drop_last)
    assert list(alone) == joint


@pytest.mark.parametrize('labels', [[0] * 8, [0] * 7 + [5], [0, 1, 2, 3]])
def test_one_class_one_clip_and_clips_without_any_partner(labels):
    for epoch in epochs(aware(labels, batch_size=4), 5):
        for batch in epoch:
            found = Counter(labels[index] for index in batch)
            assert len(batch) == 4 and min(found.values()) >= 2


# ---- both


@pytest.mark.parametrize('build', [balanced, aware])
def test_epochs_differ_and_come_again(build):
    def epoch(number, seed=1):
        one = build(seed=seed)
        getattr(one, 'sampler', one).set_epoch(number)
        return list(one)

    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(1) == epoch(1) != epoch(1, seed=2)


LOADERS = {
    'clips': dict(sampler=dict(type='mmaction.ClassBalancedSampler')),
    'batches': dict(
        drop_last=False,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='mmaction.ClassAwareBatchSampler'),
    ),
}


@pytest.mark.parametrize('settings', LOADERS.values(), ids=LOADERS)
def test_a_loader_of_a_config_runs_it_by_epochs(settings):
    loader = Runner.build_dataloader(
        dict(
            batch_size=10,
            num_workers=0,
            dataset=Labels(),
            collate_fn=dict(type='default_collate'),
            **settings,
        ),
        seed=3,
    )
    assert len(loader) == 10
    found = []
    for epoch in range(2):
        # What the runner does before an epoch.
        loop = type('Loop', (), {'dataloader': loader})
        runner = type('Runner', (), {'train_loop': loop, 'epoch': epoch})
        DistSamplerSeedHook().before_train_epoch(runner)
        found.append([batch['sample_idx'].tolist() for batch in loader])
    if 'batch_sampler' in settings:
        assert found == list(epochs(aware(batch_size=10, seed=3), 2))
    else:
        expected = list(draws(balanced(seed=3), 2))
        assert list(chain(*chain(*found))) == expected


@pytest.mark.parametrize(
    'build, options, match',
    [
        (balanced, dict(power=-1), 'ClassBalancedSampler: power must be'),
        (balanced, dict(labels=[[0, 1], [1]]), 'video 0 has the label'),
        (balanced, dict(labels=[0.5, 1.0]), 'video 0 has the label 0.5'),
        (aware, dict(samples_per_class=9), 'the batch of all ranks, 8'),
        (aware, dict(samples_per_class=0), 'from 1 to'),
        (aware, dict(power=-1.0), 'ClassAwareBatchSampler: power must be'),
        (aware, dict(batch_size=101), 'more than the 100 clips'),
        (aware, dict(labels=[[0, 1], [1]] * 4), 'video 0 has the label'),
        (aware, dict(base=InfiniteSampler(Labels())), 'got InfiniteSampler'),
    ],
)
def test_wrong_arguments(build, options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        build(**options)
