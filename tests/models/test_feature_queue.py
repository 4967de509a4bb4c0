import copy
import pickle
from collections import deque

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from micacl_mm.models.losses import MCCLLoss, mccl
from micacl_mm.models.losses.feature_queue import FeatureQueue

PLAIN = dict(
    class_counts=[5, 5, 5],
    temperature_mode='constant',
    class_weight='none',
    loss_weight=1.0,
    in_channels=8,
)


def batches(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for size in sizes:
        yield (
            torch.randn(size, 8, generator=generator),
            torch.randint(3, (size,), generator=generator),
        )


@pytest.mark.parametrize(('size', 'blended'), [(1, False), (5, True)])
def test_it_holds_what_a_deque_would(size, blended):
    queue = FeatureQueue(size, channels=8, num_classes=3)
    rows = deque(maxlen=size)
    for z, y in batches([3, 4, 1, 8, 11, 2]):
        shares = torch.eye(3)[y]
        if blended:
            shares = shares * 0.9 + 0.1 / 3
        queue.push(z, shares)
        rows += zip(z.tolist(), shares.tolist(), strict=True)
        features, found = queue.contents()
        assert len(queue) == len(rows)
        together = zip(features.tolist(), found.tolist(), strict=True)
        assert sorted(together) == sorted(rows)
    queue.clear()
    assert len(queue) == 0 and queue.contents()[0].shape == (0, 8)


@pytest.mark.parametrize('prototypes', [False, True])
@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
def test_past_features_are_keys_behind_the_prototypes(form, prototypes):
    loss = MCCLLoss(**PLAIN, form=form, queue_size=6, prototypes=prototypes)
    past = deque(maxlen=6)
    for z, y in batches([4] * 4):
        leaf = z.clone().requires_grad_()
        again = z.clone().requires_grad_()
        keys, labels = [again], [y]
        if prototypes:
            keys.append(loss.prototypes.weight)
            labels.append(torch.arange(3))
        if past:
            keys.append(torch.stack([feature for feature, _ in past]))
            labels.append(torch.stack([label for _, label in past]))
        found = loss(leaf, y)
        expected = mccl(
            again, y, torch.cat(keys), torch.cat(labels), form=form
        )
        torch.testing.assert_close(found, expected)
        found.backward()
        expected.backward()
        torch.testing.assert_close(leaf.grad, again.grad)
        past += zip(z, y, strict=True)
    assert not loss.queue.features.requires_grad


def test_evaluation_neither_looks_at_it_nor_fills_it():
    loss = MCCLLoss(**PLAIN, queue_size=4)
    first, second = batches([4, 4])
    loss(*first)
    kept = copy.deepcopy(loss.state_dict())
    found = loss.eval()(*second)
    torch.testing.assert_close(found, mccl(*second))
    for name, value in loss.state_dict().items():
        assert torch.equal(value, kept[name])


def test_blended_labels_and_classes_after_them():
    loss = MCCLLoss(**PLAIN, queue_size=4)
    (z, y), (z2, y2), (z3, y3) = batches([4, 4, 4])
    soft = torch.eye(3)[y] * 0.7 + torch.eye(3)[y.flip(0)] * 0.3
    torch.testing.assert_close(loss(z, soft), mccl(z, soft))
    keys = torch.cat([z2, z])
    shares = torch.eye(3)[y2]
    found = copy.deepcopy(loss)(z2, shares)
    expected = mccl(z2, shares, keys, torch.cat([shares, soft]))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(loss(z2, y2), expected)
    expected = mccl(z3, y3, torch.cat([z3, z2]), torch.cat([y3, y2]))
    torch.testing.assert_close(loss(z3, y3), expected)


def steps(loss, sizes, seed):
    return [loss(z, y).item() for z, y in batches(sizes, seed)]


def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    loss = MCCLLoss(**PLAIN, queue_size=6)
    steps(loss, [4, 4], seed=0)
    # As MMEngine writes and reads checkpoints.
    torch.save(get_state_dict(loss), tmp_path / 'x.pth')
    resumed = MCCLLoss(**PLAIN, queue_size=6)
    load_state_dict(resumed, torch.load(tmp_path / 'x.pth'), strict=True)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(loss)))
    expected = steps(loss, [4, 4], seed=1)
    assert steps(resumed, [4, 4], seed=1) == expected
    assert steps(twin, [4, 4], seed=1) == expected


@pytest.mark.parametrize(
    'options, what',
    [
        (dict(), 'no queue'),
        (dict(queue_size=3), 'one of 3'),
        (dict(queue_size=6, in_channels=4), 'one of 6'),
    ],
)
def test_another_queue_in_the_checkpoint(monkeypatch, options, what):
    logger, said = MMLogger.get_current_instance(), []
    monkeypatch.setattr(logger, 'log', lambda _, text: said.append(text))
    loss = MCCLLoss(**PLAIN, queue_size=6)
    steps(loss, [4], seed=0)
    other = MCCLLoss(**{**PLAIN, **options}).state_dict()
    keys = list(other)
    loss.load_state_dict(other, strict=True)
    assert list(other) == keys  # left as it was
    assert len(said) == 1 and f'the checkpoint holds {what}' in said[0]
    assert 'queue_size=6' in said[0]
    fresh = MCCLLoss(**PLAIN, queue_size=6)
    assert steps(loss, [4, 4], seed=1) == steps(fresh, [4, 4], seed=1)


def test_a_model_without_a_queue_takes_a_checkpoint_with_one():
    whole = torch.nn.Sequential(MCCLLoss(**PLAIN, queue_size=6))
    plain = torch.nn.Sequential(MCCLLoss(**PLAIN))
    plain.load_state_dict(whole.state_dict(), strict=True)
    assert not any('queue' in name for name in plain.state_dict())
