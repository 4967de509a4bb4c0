"""Our parts against numbers of the co-author's code, see docs/method.md.

The file holds float64 parameters, inputs, outputs and the gradients of
``sum(output * probe)``, made by running that code at small sizes.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from micacl_mm.models import GEIIM, WIAN
from micacl_mm.models.bag import Bag
from micacl_mm.models.layers import DMIN, GatedRecurrence

FILE = Path(__file__).parent / 'data/author_reference.npz'
#: Sizes of the numbers: instances, channels, maps of the graph.
M, C, L = 4, 12, 6


@pytest.fixture(scope='module')
def numbers():
    with np.load(FILE) as data:
        return {name: torch.from_numpy(data[name]) for name in data}


def graph_block(geiim, of):
    """Parameters, or what ``of`` makes of them, by the reference's name.

    Its graph convolution ends in 5 maps instead of L: our last stays zero.
    """
    mix = of(geiim.mix.weight).view(M, M, L)[..., :5].permute(0, 2, 1)
    hops = of(geiim.graph_conv.project.weight)[:5]
    return {
        'nodevec1': of(geiim.adjacency.source),
        'nodevec2': of(geiim.adjacency.target),
        'start_conv.weight': of(geiim.lift.weight)[..., None, None],
        'start_conv.bias': of(geiim.lift.bias),
        'gconv1.mlp.mlp.weight': hops[..., None, None],
        'gconv1.mlp.mlp.bias': of(geiim.graph_conv.project.bias)[:5],
        'end_conv.weight': mix[:, :, None],
        'end_conv.bias': of(geiim.mix.bias),
        'linear.weight': of(geiim.project.weight),
        'linear.bias': of(geiim.project.bias),
        'norm.weight': of(geiim.norm.weight),
        'norm.bias': of(geiim.norm.bias),
    }


def recurrence(layer, of):
    names = {}
    for number, part in enumerate(layer.layers):
        for way, stack in enumerate(('fwd_layers', 'bwd_layers')):
            for kind, ours in (('W', 'ih'), ('U', 'hh')):
                weight = of(getattr(part, f'weight_{ours}'))[way]
                bias = of(getattr(part, f'bias_{ours}'))[way, 0]
                gates = zip(
                    'ifosc', weight.chunk(5, 1), bias.chunk(5), strict=True
                )
                for gate, matrix, vector in gates:
                    name = f'{stack}.{number}.{kind}_{gate}'
                    names[f'{name}.weight'] = matrix.T
                    names[f'{name}.bias'] = vector
    for name, value in layer.attention.named_parameters():
        names[f'attention.{name}'] = of(value)
    for name, value in layer.norm.named_parameters():
        names[f'layer_norm.{name}'] = of(value)
    return names


def dmin(layer, of):
    return {
        'weight': of(layer.weight)[None, :, None],
        'bias': of(layer.bias)[None, :, None],
        'mean_weight': of(layer.mean_mix),
        'var_weight': of(layer.var_mix),
    }


def whole(model, of):
    geiim, wian, fc = model
    parts = {
        'graph_block.': graph_block(geiim, of),
        'BiIlstm.': recurrence(wian.recurrent, of),
        'norm.': dmin(wian.norm, of),
    }
    names = {p + n: v for p, part in parts.items() for n, v in part.items()}
    return {
        **names,
        'to_qkv.weight': of(wian.attention.qkv.weight),
        'pwconv.weight': of(wian.squeeze.weight),
        'pwconv.bias': of(wian.squeeze.bias),
        'fc.weight': of(fc.weight),
        'fc.bias': of(fc.bias),
    }


def close(found, expected, name):
    torch.testing.assert_close(
        found, expected, rtol=0, atol=1e-9, msg=lambda m: f'{name}: {m}'
    )


def compare(numbers, part, model, naming, forward):
    """Outputs and gradients of our ``model`` equal those of ``part``."""
    model = model.double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    ours = naming(model, lambda parameter: parameter.data)
    theirs = {
        name.removeprefix(f'{part}/param/'): value
        for name, value in numbers.items()
        if name.startswith(f'{part}/param/')
    }
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        ours[name].copy_(value)
    x = numbers[f'{part}/input'].clone().requires_grad_()
    out = forward(x)
    close(out, numbers[f'{part}/output'], 'output')
    (out * numbers[f'{part}/probe']).sum().backward()
    close(x.grad, numbers[f'{part}/grad_input'], 'input')
    gradients = naming(model, lambda parameter: parameter.grad)
    for name, value in gradients.items():
        close(value, numbers[f'{part}/grad/{name}'], name)
        assert value.any(), name


def build_geiim(**kwargs):
    return GEIIM(
        in_channels=C,
        nodes='channels',
        lift_channels=L,
        embed_dims=5,
        weight_source='channels',
        **kwargs,
    )


def test_graph_block(numbers):
    geiim = build_geiim(depth=2)

    def forward(x):
        bag = geiim.process(Bag(x))
        close(bag.weights, numbers['graph_block/weights'], 'weights')
        return bag.features

    compare(numbers, 'graph_block', geiim, graph_block, forward)


def test_weighted_recurrence(numbers):
    layer = GatedRecurrence(C, C, num_layers=2)
    weights = numbers['weighted_recurrence/weights']
    compare(
        numbers,
        'weighted_recurrence',
        layer,
        recurrence,
        lambda x: layer(x, weights),
    )


def test_dmin(numbers):
    layer = DMIN(2 * C, unbiased=True)
    compare(numbers, 'dmin', layer, dmin, layer)


def test_whole(numbers):
    wian = WIAN(
        in_channels=C,
        out_channels=2 * C,
        recurrence='gated',
        qkv_only=True,
        unbiased=True,
        residual='none',
        weight_source='auto',
    )
    wian.take_weights()
    model = nn.ModuleList([build_geiim(), wian, nn.Linear(2 * C, 7)])

    def forward(x):
        feature = wian.process(model[0].process(Bag(x))).features[:, 0]
        close(feature, numbers['whole/bag_feature'], 'bag feature')
        return model[2](feature)

    compare(numbers, 'whole', model, whole, forward)
