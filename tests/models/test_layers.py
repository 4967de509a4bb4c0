import math

import pytest
import torch
from torch import nn

from micacl_mm.models.layers import (
    DMIN,
    AdaptiveAdjacency,
    GatedAttention,
    GatedRecurrence,
    InstanceAttention,
    MixHop,
    MultiscaleConv,
)


def gradcheck(module, *inputs):
    module = module.double()
    inputs = [x.double().requires_grad_() for x in inputs]
    return torch.autograd.gradcheck(module, inputs)


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


def test_gated_attention_equals_a_loop():
    layer = GatedAttention(5, 3)
    x = torch.randn(2, 4, 5)
    found = layer(x)
    for n in range(2):
        scores = [
            (
                layer.score.weight[0]
                * torch.tanh(layer.value.weight @ h + layer.value.bias)
                * torch.sigmoid(layer.gate.weight @ h + layer.gate.bias)
            ).sum()
            for h in x[n]
        ]
        torch.testing.assert_close(found[n], torch.stack(scores).softmax(0))


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


@pytest.mark.parametrize('m', [1, 2, 5])
@pytest.mark.parametrize('vectors', [False, True])
def test_gated_recurrence_equals_a_loop(m, vectors):
    n, c, size = 2, 3, 4
    layer = GatedRecurrence(c, size, num_layers=2)
    x, weights = torch.randn(n, m, c), torch.rand(n, m, 1)
    if vectors:
        weights = torch.rand(n, m, size)
    joined = torch.empty(n, m, 2 * size)
    for bag in range(n):
        for way in (0, 1):
            order = list(range(m))[:: 1 - 2 * way]
            inputs = [x[bag, t] for t in order]
            for part in layer.layers:
                w, u = part.weight_ih[way].T, part.weight_hh[way].T
                b = part.bias_ih[way, 0] + part.bias_hh[way, 0]
                h = cell = torch.zeros(size)
                outputs = []
                for t, value in zip(order, inputs, strict=True):
                    i, f, o, s, g = (w @ value + u @ h + b).chunk(5)
                    s = s.sigmoid() * weights[bag, t]
                    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh() * s
                    h = o.sigmoid() * cell.tanh()
                    outputs.append(h)
                inputs = outputs
            for t, h in zip(order, inputs, strict=True):
                joined[bag, t, way * size : (way + 1) * size] = h
    attended = layer.attention(joined, joined, joined)[0]
    naive = nn.functional.layer_norm(attended, (2 * size,))
    torch.testing.assert_close(layer(x, weights), naive)


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


def test_gradients():
    x = torch.randn(2, 3, 4)
    assert gradcheck(DMIN(4), x)
    assert gradcheck(GatedAttention(4, 2), x)
    assert gradcheck(MultiscaleConv(4, (1, 3, 2)), x)
    assert gradcheck(MixHop(4, 2), x, torch.rand(3, 3))
    assert gradcheck(MixHop(2, 2), torch.randn(2, 3, 4, 2), torch.rand(3, 3))
    assert gradcheck(GatedRecurrence(4, 2, 2), x, torch.rand(2, 3, 2))
    assert gradcheck(InstanceAttention(4, 2), x)
