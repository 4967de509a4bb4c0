"""Necks on bags: formulas, chains, labels, precisions."""

import re
from pathlib import Path

import pytest
import torch
import torch._dynamo
from torch import nn

from micacl_mm.models import (
    GEIIM,
    MCCLLoss,
    NeckChain,
    PassThroughNeck,
)
from micacl_mm.models.bag import Bag
from micacl_mm.registry import MODELS

from .helpers import samples

INSTANCES = dict(type='GEIIM', in_channels=8)
BILSTM = dict(type='WIAN', in_channels=8, out_channels=16, num_heads=4)
CHANNELS = {
    **INSTANCES,
    'nodes': 'channels',
    'lift_channels': 3,
    'embed_dims': 5,
    'weight_source': 'channels',
}
GATED = {
    **BILSTM,
    'recurrence': 'gated',
    'qkv_only': True,
    'unbiased': True,
    'residual': 'none',
}
PASS = dict(type='PassThroughNeck', num_instances=4)
MCCL = dict(type='MCCLLoss', class_counts=[9, 3, 1])
EACH = pytest.mark.parametrize(
    'cfg',
    [INSTANCES, CHANNELS, BILSTM, GATED],
    ids=['GEIIM', 'GEIIM-channels', 'WIAN', 'WIAN-gated'],
)


def build(cfg, **kwargs):
    return MODELS.build({**cfg, **kwargs})


def chain_of(*necks, **kwargs):
    return randomise(NeckChain(necks, **kwargs))


def randomise(neck):
    """Leave the identity start, so that every part takes part."""
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    return neck


@EACH
@pytest.mark.parametrize('m', [1, 2, 4, 7])
def test_neck_in_training_and_prediction(cfg, m):
    neck = randomise(build(cfg, num_instances=m, aux_loss=MCCL))
    for n in (1, 3):
        x = torch.randn(n * m, 8, 1, 2, 2, requires_grad=True)
        truth = samples([0, 1, 1][:n])
        feature, losses = neck.train()(x, data_samples=truth)
        assert feature.shape == (n, cfg.get('out_channels', 8), 1, 1, 1)
        assert list(losses) == ['loss_mccl']
        (feature.sum() + losses['loss_mccl']).backward()
        assert feature.isfinite().all() and x.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in neck.parameters())
        if n == 3:
            assert all(p.grad.any() for p in neck.parameters()) or m == 1
        # The same as bags (N, M, C), with labels instead of samples.
        bags = x.mean((2, 3, 4)).unflatten(0, (n, m))
        again, others = neck(bags, torch.tensor([0, 1, 1][:n]))
        torch.testing.assert_close(again, feature)
        torch.testing.assert_close(others, losses)
        predicted, empty = neck.eval()(x)
        assert empty == {}
        torch.testing.assert_close(predicted, feature)
        # Bags do not touch each other.
        apart = torch.cat([neck(bag)[0] for bag in x.split(m)])
        torch.testing.assert_close(predicted, apart)


@EACH
def test_what_is_no_bag_is_refused(cfg):
    neck = build(cfg)
    # Not the mean over the channels, and no advice to take it.
    for shape in ((8, 3, 8), (8, 8, 4), (4,)):
        with pytest.raises(TypeError, match=r'bags \(N, M, C\)'):
            neck(torch.randn(shape))
    with pytest.raises(ValueError, match='in_channels=8.*set in_channels=6'):
        neck(torch.randn(2, 4, 6))
    with pytest.raises(ValueError, match='set num_instances'):
        neck(torch.randn(8, 8), data_samples=samples([0, 1, 2]))


def test_a_loss_without_labels_is_missed():
    mccl = MCCLLoss(class_counts=[9, 3, 1])
    for neck in (
        GEIIM(in_channels=8, aux_loss=mccl),
        NeckChain([GEIIM(in_channels=8, aux_loss=mccl)]),
        NeckChain([GEIIM(in_channels=8)], aux_loss=mccl),
        PassThroughNeck(num_instances=1, aux_loss=mccl),
        PassThroughNeck(num_instances=4, aux_loss=mccl),
    ):
        with pytest.warns(UserWarning, match='the aux_loss is left out'):
            assert neck(torch.randn(4, 8))[1] == {}
        assert neck.eval()(torch.randn(4, 8))[1] == {}


def test_geiim_equals_its_formula():
    neck = randomise(build(INSTANCES))
    x = torch.randn(2, 4, 8)
    out, weights = neck.process(Bag(x))
    h = neck.graph_conv(x, neck.adjacency())
    h = neck.project(nn.functional.gelu(neck.window_conv(h)))
    naive = nn.functional.layer_norm(
        x + h, (8,), neck.norm.weight, neck.norm.bias
    )
    torch.testing.assert_close(out, naive)
    scores = naive @ neck.score.weight[0]
    torch.testing.assert_close(weights, scores.softmax(1))
    pooled = (weights[..., None] * naive).sum(1)
    torch.testing.assert_close(neck(x.flatten(0, 1))[0].flatten(1), pooled)


def test_geiim_starts_as_a_normalised_mean():
    neck, x = build(INSTANCES), torch.randn(2, 4, 8)
    bag = neck.process(Bag(x))
    torch.testing.assert_close(bag.features, nn.functional.layer_norm(x, (8,)))
    torch.testing.assert_close(bag.weights, torch.full((2, 4), 0.25))


@pytest.mark.parametrize('m', [1, 4])
def test_geiim_over_channels_equals_its_formula(m):
    neck = randomise(build(CHANNELS, num_instances=m))
    x = torch.randn(2, m, 8)
    out, gates = neck.process(Bag(x))
    graph = neck.adjacency() + torch.eye(8)
    graph = graph / graph.sum(1, keepdim=True)
    mixed = torch.empty(2, m, 8)
    for n in range(2):
        maps = [
            x[n].T * neck.lift.weight[i, 0] + neck.lift.bias[i]
            for i in range(3)
        ]  # 3 of (C, M)
        hops = [0.7 * h + 0.3 * graph @ h for h in maps]
        joined = torch.einsum(
            'oi,icm->cmo',
            neck.graph_conv.project.weight,
            torch.stack(maps + hops),
        )
        joined = nn.functional.gelu(joined + neck.graph_conv.project.bias)
        for c in range(8):
            row = neck.mix.weight @ joined[c].flatten() + neck.mix.bias
            mixed[n, :, c] = row
    naive = nn.functional.layer_norm(
        x + neck.project(mixed), (8,), neck.norm.weight, neck.norm.bias
    )
    torch.testing.assert_close(out, naive)
    torch.testing.assert_close(gates, naive.softmax(2))
    # Gates do not tell instances apart, so alone it gives the plain mean.
    found = neck(x.flatten(0, 1))[0].flatten(1)
    torch.testing.assert_close(found, naive.mean(1))


def test_wian_equals_its_formula():
    neck = randomise(build(BILSTM))
    x, weights = torch.randn(2, 4, 8), torch.randn(2, 4).softmax(1)
    neck.take_weights()
    found = neck.process(Bag(x, weights)).features
    h = torch.stack(
        [
            torch.stack([4 * weights[n, m] * x[n, m] for m in range(4)])
            for n in range(2)
        ]
    )
    h, _ = neck.recurrent(h)
    gated = h * torch.sigmoid(neck.norm(neck.attention(h)))
    z = torch.empty(2, 16)
    kernel, bias = neck.squeeze.weight[0], neck.squeeze.bias
    for n in range(2):
        for c in range(16):
            total = bias[0].clone()
            for m in range(4):
                for k in range(3):
                    if 0 <= c + k - 1 < 16:
                        total = total + kernel[m, k] * gated[n, m, c + k - 1]
            z[n, c] = total
    naive = x.mean(1) @ neck.skip.weight.T + neck.gain * z
    assert found.shape == (2, 1, 16)
    torch.testing.assert_close(found[:, 0], naive, rtol=1e-4, atol=1e-5)


def test_wian_starts_as_mean_pooling_with_lengths_and_angles_kept():
    neck, x = build(BILSTM), torch.randn(3, 4, 8)
    out = neck(x.flatten(0, 1))[0].flatten(1)
    mean = x.mean(1)
    torch.testing.assert_close(out @ out.T, mean @ mean.T)


def test_wian_residual_choices():
    x, weights = torch.randn(2, 4, 8), torch.randn(2, 4).softmax(1)
    weighted = build(BILSTM, residual='weighted')
    weighted.take_weights()
    out = weighted.process(Bag(x, weights)).features[:, 0]
    pooled = (weights[..., None] * x).sum(1)
    torch.testing.assert_close(out, pooled @ weighted.skip.weight.T)
    plain = build(BILSTM, residual='none')
    assert not hasattr(plain, 'gain')
    assert plain(x.flatten(0, 1))[0].abs().sum() > 0


@EACH
def test_gradcheck(cfg):
    neck = randomise(build(cfg, in_channels=3)).double()
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: neck(y)[0], x)


@pytest.mark.parametrize('first', [INSTANCES, CHANNELS])
@pytest.mark.parametrize('second', [BILSTM, GATED])
def test_weights_of_any_kind_reach_any_recurrence(first, second):
    chain = chain_of(first, second)
    geiim, wian = chain.necks
    assert wian.weigh is None
    bags = torch.randn(2, 4, 8)
    x, gates = geiim.process(Bag(bags))
    found = wian.process(Bag(x, gates)).features
    torch.testing.assert_close(chain(bags)[0].flatten(1), found[:, 0])
    gates = gates[..., None] * 4 if gates.dim() == 2 else gates
    if second is BILSTM:
        scaled = x * gates * (8 if first is CHANNELS else 1)
        h, _ = wian.recurrent(scaled)
    else:
        h = wian.recurrent(x, gates)
    h = h * wian.norm(wian.attention(h)).sigmoid()
    naive = wian.squeeze(h)
    if second is BILSTM:
        naive = wian.skip(x.mean(1, keepdim=True)) + wian.gain * naive
    torch.testing.assert_close(found, naive)
    # The weights matter: equal ones give something else.
    other = wian.process(Bag(x, torch.full((2, 4), 0.25))).features
    assert not torch.allclose(other, found, atol=1e-4)


WIDE = {**INSTANCES, 'in_channels': 16}
UNIFORM = {**BILSTM, 'weight_source': 'uniform'}


@pytest.mark.parametrize(
    'necks',
    [
        [INSTANCES, UNIFORM],
        [INSTANCES, INSTANCES, BILSTM],
        [CHANNELS, GATED],
        [CHANNELS, {**GATED, 'weight_source': 'uniform'}],
        [INSTANCES, PASS, BILSTM],
        [INSTANCES, BILSTM, WIDE],
        [{**INSTANCES, 'aux_loss': MCCL}, UNIFORM],
        [INSTANCES, BILSTM, WIDE, {**UNIFORM, 'in_channels': 16}],
    ],
)
def test_every_part_of_a_chain_is_of_use(necks):
    # Parameters without a gradient would stop distributed training.
    chain = chain_of(*necks)
    feature, losses = chain(torch.randn(8, 8), data_samples=samples([0, 1]))
    (feature.square().sum() + sum(losses.values())).backward()
    assert [n for n, p in chain.named_parameters() if p.grad is None] == []


def test_losses_that_would_be_lost_are_refused():
    chain = NeckChain([{**INSTANCES, 'aux_loss': MCCL}, BILSTM], aux_loss=MCCL)
    with pytest.raises(ValueError, match="called 'loss_mccl'.*loss_name"):
        chain(torch.randn(8, 8), torch.tensor([0, 1]))
    for name in ('loss_cls', 'center'):
        loss = MCCLLoss(num_classes=2, loss_name=name)
        with pytest.raises(ValueError, match=f"contain 'loss'.*{name}"):
            build(INSTANCES, aux_loss=loss)


def test_chain_refuses_what_cannot_work():
    wide = chain_of(CHANNELS, {**GATED, 'out_channels': 32})
    with pytest.raises(ValueError, match='set out_channels=16'):
        wide(torch.randn(8, 8))
    for necks, match in (
        ([], 'at least one'),
        ([{**INSTANCES, 'num_instances': 7}], 'of the chain only'),
        ([GEIIM(8, num_instances=7)], 'of the chain only'),
        ([INSTANCES, dict(type='TPN')], 'move it forward'),
        ([INSTANCES, nn.Identity()], 'move it forward'),
        ([dict(type='NeckChain', necks=[INSTANCES])], 'that is no chain'),
        ([{}], 'necks must be modules'),
        (['GEIIM'], 'necks must be modules'),
    ):
        with pytest.raises(ValueError, match=match):
            NeckChain(necks)


def test_chain_runs_stock_necks_first():
    class Doubler(nn.Module):
        def forward(self, x, data_samples=None):
            if data_samples is None:
                return 2 * x, {}
            # One for each clip, as a stock loss on its maps needs them.
            labels = [int(sample.gt_label) for sample in data_samples]
            assert labels == [0] * 4 + [1] * 4
            return 2 * x, {'loss_aux': x.sum()}

    chain = NeckChain([Doubler(), INSTANCES])
    x = torch.randn(8, 8)
    feature, losses = chain(x, data_samples=samples([0, 1]))
    torch.testing.assert_close(feature, chain.necks[0](2 * x)[0])
    assert list(losses) == ['loss_aux']
    assert chain(x)[1] == {}


def test_pass_through_leaves_any_output_alone():
    neck = PassThroughNeck(aux_loss=MCCL)
    x = (torch.randn(4, 3, 1, 2, 2), torch.randn(4, 5, 1, 2, 2))
    out, losses = neck(x, data_samples=samples([0, 0, 1, 1]))
    assert out is x
    pooled = torch.cat([part.mean((2, 3, 4)) for part in x[::-1]], 1)
    expected = neck.aux_loss(pooled, torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(losses['loss_mccl'], expected)
    assert neck.eval()(x) == (x, {})


@pytest.mark.parametrize(
    ('cfg', 'options', 'match'),
    [
        (INSTANCES, dict(num_instances=0), 'num_instances must be at least 1'),
        (INSTANCES, dict(kernel_sizes=(0, 1)), 'kernel_sizes must be pos'),
        (CHANNELS, dict(kernel_sizes=(1, 3)), 'kernel_sizes has no use'),
        (BILSTM, dict(out_channels=9, num_heads=3), 'multiple of 2'),
        (BILSTM, dict(num_heads=3), 'multiple of 3 for its num_heads'),
        (GATED, dict(out_channels=6, num_heads=3), 'multiple of 4'),
        *[
            (INSTANCES, {name: 'x'}, name)
            for name in ('nodes', 'weight_source')
        ],
        *[
            (BILSTM, {name: 'x'}, name)
            for name in ('recurrence', 'residual', 'weight_source')
        ],
    ],
)
def test_errors_say_what_to_change(cfg, options, match):
    with pytest.raises(ValueError, match=match):
        build(cfg, **options)


@EACH
def test_autocast(cfg):
    neck = randomise(build(cfg, aux_loss=MCCL))
    x, truth = torch.randn(3 * 4, 8), samples([0, 0, 1])
    exact, losses = neck(x, data_samples=truth)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half, half_losses = neck(x, data_samples=truth)
    assert half_losses['loss_mccl'].dtype == torch.float32
    assert half.isfinite().all() and half_losses['loss_mccl'].isfinite()
    error = (half.float() - exact).norm() / exact.norm()
    assert error < 0.05
    half.float().sum().backward()
    assert all(
        p.grad is None or p.grad.isfinite().all() for p in neck.parameters()
    )


@torch._dynamo.config.patch(allow_rnn=True)
def test_neck_and_loss_compile_to_one_graph():
    torch._dynamo.reset()
    short = dict(BILSTM, num_layers=1)
    neck = NeckChain([INSTANCES, short], num_instances=2)
    loss = MCCLLoss(
        class_counts=[9, 3, 1],
        temperature_mode='batch',
        focal='attached',
        in_channels=16,
        prototypes=True,
    )
    x = torch.randn(6, 2, 8, requires_grad=True)
    y, scores = torch.arange(6) % 3, torch.randn(6, 3)

    def step(x):
        return loss(neck(x)[0].flatten(1), y, scores)

    expected = step(x)
    found = torch.compile(step, fullgraph=True, backend='aot_eager')(x)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(value, x)[0] for value in (found, expected))
    torch.testing.assert_close(*grads)


def test_the_loop_in_the_docs_learns():
    page = Path(__file__).parents[2] / 'docs' / 'mixing.md'
    blocks = re.findall(r'```python\n(.*?)```', page.read_text(), re.S)
    (code,) = (block for block in blocks if 'import torch\n' in block)
    names = {}
    exec(code, names)
    found = names['scores'].argmax(1)
    assert torch.equal(found, names['labels']) and names['loss'] < 1
