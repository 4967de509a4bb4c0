import math

import pytest
import torch
from torch import nn

from micacl_mm.models.layers import (
    DMIN,
    AdaptiveAdjacency,
    GatedAttention,
    InstanceAttention,
    MixHop,
    MultiscaleConv,
)


def test_adjacency_equals_explicit_sums():
    layer = AdaptiveAdjacency(3, 2)
    found = layer()
    for i in range(3):
        scores = [
            max(
                0.0,
                sum(
                    layer.source[i, d].item() * layer.target[d, j].item()
                    for d in range(2)
                ),
            )
            for j in range(3)
        ]
        total = sum(map(math.exp, scores))
        for j in range(3):
            assert found[i, j].item() == pytest.approx(
                math.exp(scores[j]) / total, abs=1e-6
            )


@pytest.mark.parametrize('depth', [0, 1, 3])
def test_mix_hop_equals_explicit_sums(depth):
    n, m, c, a = 2, 3, 4, 0.7
    layer = MixHop(c, depth, a)
    x, graph = torch.randn(n, m, c), torch.rand(m, m)
    row = graph + torch.eye(m)
    row = row / row.sum(1, keepdim=True)
    hops = [x]
    for _ in range(depth):
        h = torch.zeros_like(x)
        for i in range(m):
            for j in range(m):
                h[:, i] += row[i, j] * hops[-1][:, j]
        hops.append(a * x + (1 - a) * h)
    naive = layer.project(torch.cat(hops, -1))
    torch.testing.assert_close(layer(x, graph), naive)


@pytest.mark.parametrize('m', [1, 2, 4, 7])
def test_multiscale_conv_equals_a_loop(m):
    c = 3
    layer = MultiscaleConv(c, (1, 3, m))
    x = torch.randn(2, m, c)
    naive = torch.zeros_like(x)
    for conv in layer.convs:
        size = conv.kernel_size[0]
        back = (size - 1) // 2
        for t in range(m):
            for k in range(size):
                source = t + k - back
                if 0 <= source < m:
                    naive[:, t] += conv.weight[:, 0, k] * x[:, source]
        naive += conv.bias
    torch.testing.assert_close(layer(x), naive)


def test_gated_attention_equals_torchmil():
    pooling = pytest.importorskip('torchmil.nn').AttentionPool
    layer = GatedAttention(5, 3)
    theirs = pooling(in_dim=5, att_dim=3, act='tanh', gated=True)
    theirs.fc1.module.load_state_dict(layer.value.state_dict())
    theirs.fc_gated.module.load_state_dict(layer.gate.state_dict())
    theirs.fc2.load_state_dict(layer.score.state_dict())
    x = torch.randn(2, 4, 5)
    pooled, scores = theirs(x, return_att=True)
    weights = layer(x)
    torch.testing.assert_close(scores.softmax(-1), weights)
    torch.testing.assert_close((weights[..., None] * x).sum(1), pooled)


@pytest.mark.parametrize('unbiased', [False, True])
@pytest.mark.parametrize('shape', [(2, 4, 6), (1, 1, 6), (3, 7, 2)])
def test_dmin_equals_a_loop(shape, unbiased):
    layer = DMIN(shape[-1], unbiased)
    correction = int(unbiased and shape[1] > 1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(shape)
    a, b = layer.mean_mix.softmax(0), layer.var_mix.softmax(0)
    naive = torch.empty_like(x)
    for n in range(shape[0]):
        bag_mean = x[n].mean()
        bag_var = x[n].var(0, correction=correction).mean()
        bag_var += x[n].mean(0).var(correction=0)
        if not unbiased:
            torch.testing.assert_close(bag_var, x[n].var(correction=0))
        for c in range(shape[2]):
            column = x[n, :, c]
            mean = a[0] * column.mean() + a[1] * bag_mean
            var = b[0] * column.var(correction=correction) + b[1] * bag_var
            naive[n, :, c] = (column - mean) / torch.sqrt(var + 1e-5)
    naive = naive * layer.weight + layer.bias
    torch.testing.assert_close(layer(x), naive, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('m', [1, 4])
@pytest.mark.parametrize('dtype', [torch.half, torch.bfloat16, torch.float32])
def test_dmin_of_equal_instances_has_a_gradient(dtype, m):
    # A still picture as a video: all variances are 0.
    slopes, grads = torch.randn(2, m, 8), []
    for kind in (dtype, torch.float32):
        x = torch.ones(2, m, 8, dtype=kind, requires_grad=True)
        out = DMIN(8, unbiased=True).to(kind)(x)
        (out * slopes.to(kind)).sum().backward()
        assert out.dtype == kind and x.grad.isfinite().all()
        grads.append(x.grad.float())
    torch.testing.assert_close(*grads, rtol=0.01, atol=1)


def test_attention_equals_torch_multihead():
    layer = InstanceAttention(8, 2)
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(layer.qkv.weight)
        theirs.in_proj_bias.copy_(layer.qkv.bias)
        theirs.out_proj.weight.copy_(layer.project.weight)
        theirs.out_proj.bias.copy_(layer.project.bias)
    x = torch.randn(3, 4, 8)
    torch.testing.assert_close(layer(x), theirs(x, x, x)[0])
