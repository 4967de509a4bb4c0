"""MCCL as a co-author's code of June 2025 computes it, in float64.

The vectors were made by running that code on the given inputs.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from micacl_mm.models.losses import MCCLLoss

OPTIONS = dict(
    form='out',
    include_self=True,
    pooled=True,
    temperature_mode='batch',
    class_weight='raw_inverse',
    loss_weight=1.0,
)


@pytest.fixture(scope='module')
def vectors():
    with np.load(Path(__file__).parent / 'data' / 'author_loss.npz') as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture
def inputs(vectors):
    leaves = (vectors[n].clone() for n in ('features', 'logits'))
    return [leaf.requires_grad_() for leaf in leaves]


def check(found, inputs, vectors, name):
    grads = torch.autograd.grad(found, inputs)
    for part, value in zip(
        ('value', 'grad_features', 'grad_logits'), (found, *grads), strict=True
    ):
        expected = vectors[f'{name}/{part}']
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('scales', [(1,), (2,), (1, 2, 4)])
def test_value_and_gradients(vectors, inputs, scales, fused):
    features, logits = inputs
    loss = MCCLLoss(
        class_counts=vectors['class_counts'].tolist(),
        scales=scales,
        focal='attached',
        fused=fused,
        **OPTIONS,
    )
    found = loss(features, vectors['labels'], logits)
    name = 'scales_' + '_'.join(map(str, scales))
    check(found, inputs, vectors, name)


def test_a_linear_layer_on_each_scale(vectors, inputs):
    """With the layers that the co-author's code draws at each call."""
    features, logits = inputs
    loss = MCCLLoss(
        class_counts=vectors['class_counts'].tolist(),
        scales=(1,),
        focal='attached',
        **OPTIONS,
    )
    terms = []
    for scale in (1, 2, 4):
        pooled = F.avg_pool1d(features[:, None], scale)[:, 0]
        weight, bias = (
            vectors[f'projected/{part}_{scale}'] for part in ('weight', 'bias')
        )
        projected = F.linear(pooled, weight, bias)
        terms.append(loss(projected, vectors['labels'], logits))
    check(torch.stack(terms).mean(), inputs, vectors, 'projected')


def test_detached_scores_change_the_gradient_alone(vectors, inputs):
    features, logits = inputs
    counts = vectors['class_counts'].tolist()
    loss = MCCLLoss(class_counts=counts, focal='detached', **OPTIONS)
    found = loss(features, vectors['labels'], logits)
    expected = vectors['scales_1_2_4/value'].item()
    assert found.item() == pytest.approx(expected, rel=1e-9)
    grads = torch.autograd.grad(found, inputs, allow_unused=True)
    torch.testing.assert_close(
        grads[0], vectors['scales_1_2_4/grad_features'], rtol=1e-9, atol=1e-12
    )
    assert grads[1] is None
    one_hot = F.one_hot(vectors['labels'], 7).double()
    torch.testing.assert_close(loss(features, one_hot, logits), found)


def test_missing_scores_are_asked_for(vectors):
    loss = MCCLLoss(num_classes=7, focal='detached')
    with pytest.raises(ValueError, match='needs the class scores'):
        loss(vectors['features'], vectors['labels'])
    with pytest.raises(ValueError, match=r'\(16, 7\), got \(16, 6\)'):
        loss(*(vectors[n] for n in ('features', 'labels')), torch.zeros(16, 6))
    with pytest.raises(ValueError, match='focal must be one of'):
        MCCLLoss(num_classes=7, focal='on')
