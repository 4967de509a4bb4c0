from collections import Counter

import pytest
import torch
from mmengine.dataset import (
    BaseDataset,
    ConcatDataset,
    DefaultSampler,
    RepeatDataset,
    sampler,
)
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from micacl_mm.datasets import ClassBalancedSampler

COUNTS = (75, 20, 4, 1)
LABELS = [label for label, n in enumerate(COUNTS) for _ in range(n)]


class Labels(BaseDataset):
    """Videos that are nothing but their labels."""

    def __init__(self, labels=LABELS):
        self.labels = labels
        super().__init__()

    def load_data_list(self):
        return [{'label': label} for label in self.labels]


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


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0, 2.0])
def test_classes_are_drawn_by_the_formula(power):
    epochs = 200
    sampler = ClassBalancedSampler(Labels(), power=power, seed=0)
    found = Counter(LABELS[index] for index in draws(sampler, epochs))
    masses = [n ** (1 - power) for n in COUNTS]
    total = epochs * len(LABELS)
    for label, mass in enumerate(masses):
        share = mass / sum(masses)
        spread = (share * (1 - share) / total) ** 0.5
        assert abs(found[label] / total - share) < 4 * spread


def test_videos_of_a_class_are_drawn_alike():
    sampler = ClassBalancedSampler(Labels(), seed=0)
    found = Counter(draws(sampler, 400))
    for label, n in enumerate(COUNTS):
        each = torch.tensor(
            [found[i] for i, own in enumerate(LABELS) if own == label]
        ).float()
        mean = 400 * len(LABELS) / len(COUNTS) / n
        assert (each.sum() / n - mean).abs() < 5 * (mean / n) ** 0.5
        # Chi-squared with n - 1 degrees of freedom, about five deviations.
        chi = ((each - each.mean()) ** 2 / each.mean()).sum()
        assert chi < n - 1 + 5 * (2 * n) ** 0.5


@pytest.mark.parametrize('world_size', [1, 3, 8])
def test_ranks_share_one_draw_as_long_as_an_epoch(rank, world_size):
    dataset = Labels()
    shares = []
    for number in range(world_size):
        rank(number, world_size)
        sampler = ClassBalancedSampler(dataset, seed=5)
        sampler.set_epoch(2)
        assert len(sampler) == len(DefaultSampler(dataset, seed=5))
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler)
    rank(0, 1)
    alone = ClassBalancedSampler(dataset, seed=5)
    alone.total_size = sum(map(len, shares))
    alone.set_epoch(2)
    joined = [index for turn in zip(*shares, strict=True) for index in turn]
    assert joined == list(alone)


def test_epochs_differ_and_come_again():
    sampler = ClassBalancedSampler(Labels(), seed=1)
    first = list(sampler)
    assert list(sampler) == first  # the same epoch
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    other = ClassBalancedSampler(Labels(), seed=2)
    other.set_epoch(1)
    assert list(other) != second
    sampler.set_epoch(0)
    assert list(sampler) == first


@pytest.mark.parametrize('wrap', ['concat', 'repeat'])
def test_wrapped_datasets(wrap):
    labels = Labels([0, 0, 0, 1])
    dataset = (
        ConcatDataset([labels, labels])
        if wrap == 'concat'
        else RepeatDataset(labels, times=2)
    )
    sampler = ClassBalancedSampler(dataset, seed=0)
    expected = torch.tensor([1 / 6, 1 / 6, 1 / 6, 1 / 2]).repeat(2)
    torch.testing.assert_close(sampler.weights.float(), expected)


def test_a_loader_of_a_config_runs_it_by_epochs():
    loader = Runner.build_dataloader(
        dict(
            batch_size=10,
            num_workers=0,
            dataset=Labels(),
            sampler=dict(type='ClassBalancedSampler', power=1.0),
            collate_fn=dict(type='default_collate'),
        ),
        seed=3,
    )
    assert loader.sampler.seed == 3
    epochs = []
    for epoch in range(2):
        # What the runner does before an epoch.
        loop = type('Loop', (), {'dataloader': loader})
        runner = type('Runner', (), {'train_loop': loop, 'epoch': epoch})
        DistSamplerSeedHook().before_train_epoch(runner)
        epochs.append(
            torch.cat([batch['sample_idx'] for batch in loader]).tolist()
        )
    assert epochs[0] != epochs[1] and len(epochs[0]) == len(LABELS)


@pytest.mark.parametrize(
    'labels, options, match',
    [
        (LABELS, dict(power=-1), 'power must be at least 0'),
        ([[0, 1], [1]], {}, 'video 0 has the label'),
        ([0.5, 1.0], {}, 'video 0 has the label 0.5'),
    ],
)
def test_wrong_arguments(labels, options, match):
    with pytest.raises(ValueError, match=match):
        ClassBalancedSampler(Labels(labels), **options)
