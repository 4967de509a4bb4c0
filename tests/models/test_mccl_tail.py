"""What lets MCCL act on rare classes, each against an independent oracle."""

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch.nn import functional as F

from micacl_mm.models.losses import MCCLLoss, mccl
from micacl_mm.models.necks import NeckChain, PassThroughNeck

from .helpers import samples

PLAIN = dict(
    scales=(1,),
    temperature=0.2,
    temperature_mode='constant',
    class_weight='none',
    loss_weight=1.0,
)
LABELS = [0, 0, 0, 0, 1, 1, 2, 3]


def bcl(z, labels, keys, key_labels, tau):
    """Balanced contrastive learning, equation 6, pair by pair.

    Anchors are the first keys; a class that is the anchor alone is left out.
    """
    z, keys = F.normalize(z, dim=1), F.normalize(keys, dim=1)
    total = 0
    for i, label in enumerate(labels):
        e = {
            k: (z[i] @ keys[k] / tau).exp() for k in range(len(keys)) if k != i
        }
        classes = {}
        for k, value in e.items():
            classes.setdefault(key_labels[k], []).append(value)
        every = sum(sum(values) / len(values) for values in classes.values())
        positives = [e[k] for k in e if key_labels[k] == label]
        if positives:
            terms = [(value / every).log() for value in positives]
            total = total - sum(terms) / len(terms)
    return total / len(labels)


@pytest.mark.parametrize('prototypes', [False, True])
@pytest.mark.parametrize('fused', [False, True])
def test_balanced_keys_equal_bcl(prototypes, fused):
    z = torch.randn(8, 6, dtype=torch.double, requires_grad=True)
    keys, key_labels = z, LABELS
    if prototypes:
        keys = torch.cat([z, torch.randn(4, 6, dtype=torch.double)])
        key_labels = [*LABELS, 0, 1, 2, 3]
    found = mccl(
        z,
        torch.tensor(LABELS),
        keys,
        torch.tensor(key_labels),
        scales=(1,),
        temperature=0.2,
        form='out',
        balanced_keys=True,
        fused=fused,
    )
    expected = bcl(z, LABELS, keys, key_labels, 0.2)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(value, z)[0] for value in (found, expected))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('form', ['log', 'ratio', 'out'])
@pytest.mark.parametrize('include_self', [False, True])
def test_balanced_keys_of_equal_classes_change_nothing_with_self(
    form, include_self
):
    z, y = torch.randn(12, 8, requires_grad=True), torch.arange(12) % 3
    options = dict(form=form, include_self=include_self, fused=True)
    found = mccl(z, y, balanced_keys=True, **options)
    soft = mccl(z, F.one_hot(y).float(), balanced_keys=True, **options)
    torch.testing.assert_close(soft, found)
    slow = mccl(z, y, balanced_keys=True, **{**options, 'fused': False})
    torch.testing.assert_close(slow, found)
    grads = (torch.autograd.grad(value, z)[0] for value in (slow, found))
    torch.testing.assert_close(*grads)
    if include_self and form != 'out':  # all classes are of one size
        torch.testing.assert_close(found, mccl(z, y, **options))


def test_balanced_keys_of_degenerate_batches():
    for labels in ([0], [0, 1, 2], [0, 0, 0], [0, 0, 1]):
        z = torch.randn(len(labels), 8, requires_grad=True)
        for fused in (False, True):
            loss = MCCLLoss(
                num_classes=3,
                form='out',
                balanced_keys=True,
                fused=fused,
                **PLAIN,
            )(z, torch.tensor(labels))
            loss.backward()
            assert loss.isfinite() and z.grad.isfinite().all()


@pytest.mark.parametrize('balanced', [False, True])
def test_prototypes_tied_to_the_classifier_are_keys(balanced):
    z = torch.randn(8, 6, requires_grad=True)
    weight = torch.randn(4, 6, requires_grad=True)
    loss = MCCLLoss(
        num_classes=4,
        in_channels=6,
        form='out',
        prototypes='classifier',
        balanced_keys=balanced,
        **PLAIN,
    )
    assert not list(loss.parameters())
    labels = torch.tensor(LABELS)
    found = loss(z, labels, classifier=weight)
    keys, key_labels = torch.cat([z, weight]), [*LABELS, 0, 1, 2, 3]
    if balanced:
        expected = bcl(z, LABELS, keys, key_labels, 0.2)
    else:
        expected = mccl(
            z,
            labels,
            keys,
            torch.tensor(key_labels),
            scales=(1,),
            temperature=0.2,
            form='out',
        )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, (z, weight)),
        torch.autograd.grad(expected, (z, weight)),
    )
    for wrong in (None, weight[:, :5]):
        with pytest.raises(
            ValueError, match=r'classifier must be \(4, 6\), got'
        ):
            loss(z, labels, classifier=wrong)
    with pytest.raises(ValueError, match='prototypes must be one of'):
        MCCLLoss(num_classes=4, in_channels=6, prototypes='x')


def test_one_clip_a_class_and_tied_prototypes_is_a_cosine_classifier():
    """PaCo's limit: without pairs only the centres are positives."""
    z, weight = torch.randn(4, 6), torch.randn(4, 6)
    labels = torch.arange(4)
    loss = MCCLLoss(
        num_classes=4, in_channels=6, prototypes='classifier', **PLAIN
    )
    units = F.normalize(z, dim=1), F.normalize(weight, dim=1)
    cosines = units[0] @ torch.cat(units).T / 0.2
    cosines[:, :4].fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(cosines, labels + 4)
    found = loss(z, labels, classifier=weight)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('focal', ['none', 'attached'])
def test_instances_are_views_of_their_bag(focal):
    """As SupCon's views, and the last video is alone in its class."""
    z, labels = torch.randn(5, 4, 6), torch.tensor([0, 0, 1, 1, 2])
    loss = MCCLLoss(num_classes=3, form='out', instances=True, **PLAIN)
    views, repeated = z.flatten(0, 1), labels.repeat_interleave(4)
    expected = SupConLoss(temperature=0.2)(views, repeated)
    neck = PassThroughNeck(num_instances=4)
    neck.aux_loss = loss
    losses = neck(views, data_samples=samples(labels))[1]
    torch.testing.assert_close(losses['loss_mccl'], expected)
    alone = views[-4:], repeated[-4:], views, repeated
    assert mccl(*alone, offset=16, scales=(1,)) > 0
    # Scores are one a bag.
    loss = MCCLLoss(num_classes=3, focal=focal, **PLAIN)
    scores = torch.randn(5, 3)
    found = loss(z, labels, scores)
    expected = loss(views, repeated, scores.repeat_interleave(4, 0))
    torch.testing.assert_close(found, expected)
    soft = loss(z, F.one_hot(labels).float(), scores)
    torch.testing.assert_close(soft, found)


def test_instances_that_are_joined_by_then_are_refused():
    loss = dict(type='MCCLLoss', class_counts=[1, 1], instances=True)
    neck = NeckChain(
        [dict(type='WIAN', in_channels=8, out_channels=8)], aux_loss=loss
    )
    with pytest.raises(ValueError, match='move the aux_loss to a neck before'):
        neck(torch.randn(8, 8), data_samples=samples([0, 1]))
