import pytest
import torch
from torch import nn

from micacl_mm.models import NeckChain, PassThroughNeck
from micacl_mm.models.bag import Bag
from micacl_mm.registry import MODELS

from .helpers import samples

GEIIM = dict(type='GEIIM', in_channels=8)
WIAN = dict(type='WIAN', in_channels=8, out_channels=16, num_heads=4)
GRAPH = {
    **GEIIM,
    'nodes': 'channels',
    'lift_channels': 3,
    'embed_dims': 5,
    'weight_source': 'channels',
}
GATED = {
    **WIAN,
    'recurrence': 'gated',
    'qkv_only': True,
    'unbiased': True,
    'residual': 'none',
}
MCCL = dict(type='MCCLLoss', class_counts=[9, 3, 1])
EACH = pytest.mark.parametrize(
    'cfg',
    [GEIIM, GRAPH, WIAN, GATED],
    ids=['GEIIM', 'GEIIM-channels', 'WIAN', 'WIAN-gated'],
)


def build(cfg, **kwargs):
    return MODELS.build({**cfg, **kwargs})


def randomise(neck):
    """Leave the identity start, so that every part takes part."""
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    return neck


@EACH
@pytest.mark.parametrize('m', [1, 2, 4, 7])
@pytest.mark.parametrize('n', [1, 3])
def test_neck_in_training_and_prediction(cfg, m, n):
    neck = randomise(build(cfg, num_instances=m, aux_loss=MCCL))
    x = torch.randn(n * m, 8, 1, 2, 2, requires_grad=True)
    feature, losses = neck(x, data_samples=samples([0, 1, 1][:n]))
    assert feature.shape == (n, cfg.get('out_channels', 8), 1, 1, 1)
    assert list(losses) == ['loss_mccl']
    (feature.sum() + losses['loss_mccl']).backward()
    assert feature.isfinite().all() and x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in neck.parameters())
    predicted, empty = neck(x)
    assert empty == {}
    torch.testing.assert_close(predicted, feature)


@EACH
def test_every_parameter_learns(cfg):
    neck = randomise(build(cfg))
    neck(torch.randn(8, 8))[0].square().sum().backward()
    idle = [n for n, p in neck.named_parameters() if not p.grad.any()]
    assert idle == []


@EACH
def test_bags_do_not_touch_each_other(cfg):
    neck = randomise(build(cfg))
    x = torch.randn(3 * 4, 8)
    together = neck(x)[0]
    apart = torch.cat([neck(bag)[0] for bag in x.split(4)])
    torch.testing.assert_close(together, apart)


def test_geiim_equals_its_formula():
    neck = randomise(build(GEIIM))
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
    neck, x = build(GEIIM), torch.randn(2, 4, 8)
    bag = neck.process(Bag(x))
    torch.testing.assert_close(bag.features, nn.functional.layer_norm(x, (8,)))
    torch.testing.assert_close(bag.weights, torch.full((2, 4), 0.25))


def test_geiim_weights_from_the_adjacency():
    neck = randomise(build(GEIIM, weight_source='adjacency'))
    weights = neck.process(Bag(torch.randn(2, 4, 8))).weights
    column = [sum(neck.adjacency()[i, j] for i in range(4)) for j in range(4)]
    expected = torch.stack(column).softmax(0)
    torch.testing.assert_close(weights, expected.expand(2, 4))


@pytest.mark.parametrize('m', [1, 4])
def test_geiim_over_channels_equals_its_formula(m):
    neck = randomise(build(GRAPH, num_instances=m))
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


def test_geiim_knows_the_order_of_instances():
    neck, x = randomise(build(GEIIM)), torch.randn(1, 4, 8)
    order = torch.tensor([2, 0, 3, 1])
    straight = neck.process(Bag(x)).features[:, order]
    shuffled = neck.process(Bag(x[:, order])).features
    assert not torch.allclose(straight, shuffled, atol=1e-3)


@pytest.mark.parametrize('norm', ['dmin', 'layer'])
def test_wian_equals_its_formula(norm):
    neck = randomise(build(WIAN, norm=norm))
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
    neck, x = build(WIAN), torch.randn(3, 4, 8)
    out = neck(x.flatten(0, 1))[0].flatten(1)
    mean = x.mean(1)
    torch.testing.assert_close(out @ out.T, mean @ mean.T)


def test_wian_residual_choices():
    x, weights = torch.randn(2, 4, 8), torch.randn(2, 4).softmax(1)
    weighted = build(WIAN, residual='weighted')
    weighted.take_weights()
    out = weighted.process(Bag(x, weights)).features[:, 0]
    pooled = (weights[..., None] * x).sum(1)
    torch.testing.assert_close(out, pooled @ weighted.skip.weight.T)
    plain = build(WIAN, residual='none')
    assert not hasattr(plain, 'gain')
    assert plain(x.flatten(0, 1))[0].abs().sum() > 0


def test_wian_weights():
    x, weights = torch.randn(2, 4, 8), torch.randn(2, 4).softmax(1)
    given = randomise(build(WIAN))
    assert given.weigh is not None
    given.take_weights()
    assert given.weigh is None
    uniform = build(WIAN, weight_source='uniform')
    assert uniform.weigh is None
    uniform.load_state_dict(given.state_dict())
    equal = torch.full((2, 4), 0.25)
    torch.testing.assert_close(
        uniform.process(Bag(x, weights)).features,
        given.process(Bag(x, equal)).features,
    )
    own = build(WIAN, weight_source='attention')
    assert own.weigh is not None and not own.uses_weights


@EACH
def test_gradcheck(cfg):
    neck = randomise(build(cfg, in_channels=3)).double()
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    # LSTM layers have no double backward kernel issue in the first order.
    assert torch.autograd.gradcheck(lambda y: neck(y)[0], x)


def test_chain_hands_geiims_weights_to_wian():
    chain = randomise(build(dict(type='NeckChain', necks=[GEIIM, WIAN])))
    geiim, wian = chain.necks
    assert wian.weigh is None
    x = torch.randn(2 * 4, 8)
    bag = geiim.process(Bag(x.unflatten(0, (2, 4))))
    naive = wian.process(bag).features[:, 0]
    torch.testing.assert_close(chain(x)[0].flatten(1), naive)
    # The weights matter: equal ones give something else.
    other = wian.process(Bag(bag.features, torch.full((2, 4), 0.25)))
    assert not torch.allclose(other.features[:, 0], naive, atol=1e-4)


@pytest.mark.parametrize('first', [GEIIM, GRAPH], ids=['scalar', 'vector'])
@pytest.mark.parametrize('second', [WIAN, GATED], ids=['bilstm', 'gated'])
def test_weights_of_any_kind_reach_any_recurrence(first, second):
    chain = randomise(build(dict(type='NeckChain', necks=[first, second])))
    geiim, wian = chain.necks
    x, gates = geiim.process(Bag(torch.randn(2, 4, 8)))
    found = wian.process(Bag(x, gates)).features
    gates = gates[..., None] * 4 if gates.dim() == 2 else gates
    if second is WIAN:
        scaled = x * gates * (8 if first is GRAPH else 1)
        h, _ = wian.recurrent(scaled)
    else:
        h = wian.recurrent(x, gates)
    h = h * wian.norm(wian.attention(h)).sigmoid()
    naive = wian.squeeze(h)
    if second is WIAN:
        naive = wian.skip(x.mean(1, keepdim=True)) + wian.gain * naive
    torch.testing.assert_close(found, naive)


def test_gates_must_fit_the_recurrence():
    wide = {**GATED, 'out_channels': 32}
    chain = build(dict(type='NeckChain', necks=[GRAPH, wide]))
    with pytest.raises(ValueError, match='set out_channels=16'):
        chain(torch.randn(8, 8))


WIDE = {**GEIIM, 'in_channels': 16}
PASS = dict(type='PassThroughNeck')


@pytest.mark.parametrize(
    'necks',
    [
        [GEIIM, {**WIAN, 'weight_source': 'uniform'}],
        [GEIIM, {**WIAN, 'weight_source': 'attention'}],
        [GEIIM, GEIIM, WIAN],
        [GRAPH, GATED],
        [GRAPH, {**GATED, 'weight_source': 'uniform'}],
        [GEIIM, PASS, WIAN],
        [GEIIM, dict(type='NeckChain', necks=[PASS, WIAN])],
        [GEIIM, WIAN, WIDE],
        [{**GEIIM, 'aux_loss': MCCL}, {**WIAN, 'weight_source': 'uniform'}],
    ],
)
def test_every_part_of_a_chain_is_of_use(necks):
    # Parameters without a gradient would stop distributed training.
    chain = randomise(build(dict(type='NeckChain', necks=necks)))
    feature, losses = chain(torch.randn(8, 8), data_samples=samples([0, 1]))
    (feature.square().sum() + sum(losses.values())).backward()
    idle = [n for n, p in chain.named_parameters() if p.grad is None]
    assert idle == []


def test_a_later_neck_that_declines_takes_nothing_from_an_earlier_one():
    last = dict(
        type='WIAN',
        in_channels=16,
        out_channels=16,
        num_heads=4,
        weight_source='attention',
    )
    chain = build(dict(type='NeckChain', necks=[GEIIM, WIAN, WIDE, last]))
    first, second, third, _ = chain.necks
    assert first.score is not None and second.weigh is None
    assert third.weight_source == 'none'


def test_weights_pass_through_a_neck_that_keeps_them():
    necks = [GEIIM, dict(type='PassThroughNeck'), WIAN]
    chain = build(dict(type='NeckChain', necks=necks))
    assert chain.necks[2].weigh is None
    assert chain(torch.randn(8, 8))[0].isfinite().all()


def test_chain_gathers_losses_and_gradients():
    second = {**MCCL, 'loss_name': 'loss_geiim'}
    chain = randomise(
        build(
            dict(type='NeckChain', aux_loss=MCCL),
            necks=[{**GEIIM, 'aux_loss': second}, WIAN],
        )
    )
    x = torch.randn(6 * 4, 8)
    feature, losses = chain(x, data_samples=samples([0, 0, 1, 1, 2, 2]))
    assert set(losses) == {'loss_geiim', 'loss_mccl'}
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    expected = chain.aux_loss(feature.flatten(1), labels)
    torch.testing.assert_close(losses['loss_mccl'], expected)
    (feature.square().sum() + sum(losses.values())).backward()
    assert all(p.grad is not None for p in chain.parameters())


def test_chain_of_a_chain_and_of_one():
    inner = dict(type='NeckChain', necks=[GEIIM])
    chain = build(dict(type='NeckChain', necks=[inner, WIAN]))
    assert chain.necks[1].weigh is None
    assert chain(torch.randn(8, 8))[0].shape == (2, 16, 1, 1, 1)


def test_chain_refuses_two_losses_of_one_name():
    twice = dict(type='NeckChain', necks=[{**GEIIM, 'aux_loss': MCCL}, WIAN])
    with pytest.raises(ValueError, match="called 'loss_mccl'.*loss_name"):
        build(twice, aux_loss=MCCL)
    with pytest.raises(ValueError, match="called 'loss_mccl'.*loss_name"):
        NeckChain(necks=[{**twice, 'aux_loss': MCCL}])
    other = {**MCCL, 'loss_name': 'loss_other'}
    build(twice, aux_loss=other)


def test_a_loss_must_be_trained_and_not_hide_that_of_the_head():
    @MODELS.register_module(force=True)
    class Hider(nn.Module):
        pass

    for name in ('loss_cls', 'center'):
        Hider.loss_name = name
        with pytest.raises(ValueError, match=f"contain 'loss'.*{name}"):
            build(GEIIM, aux_loss=dict(type='Hider'))


def test_chain_refuses_what_cannot_work():
    with pytest.raises(ValueError, match='at least one'):
        NeckChain(necks=[])
    with pytest.raises(ValueError, match='num_instances of the chain only'):
        NeckChain(necks=[{**GEIIM, 'num_instances': 7}])
    with pytest.raises(ValueError, match='move it forward'):
        NeckChain(necks=[GEIIM, dict(type='TPN')])


def test_a_chain_in_a_chain_has_no_stock_necks():
    inner = dict(type='NeckChain', necks=[dict(type='Stock'), GEIIM])
    MODELS.register_module(name='Stock', module=nn.Identity, force=True)
    with pytest.raises(ValueError, match='front of the outer chain'):
        NeckChain(necks=[inner])


def test_chain_runs_stock_necks_first():
    @MODELS.register_module(force=True)
    class Doubler(nn.Module):
        def forward(self, x, data_samples=None):
            if data_samples is None:
                return 2 * x, {}
            # One for each clip, as a stock loss on its maps needs them.
            labels = [int(sample.gt_label) for sample in data_samples]
            assert labels == [0] * 4 + [1] * 4
            return 2 * x, {'loss_aux': x.sum()}

    chain = build(dict(type='NeckChain', necks=[dict(type='Doubler'), GEIIM]))
    alone = chain.necks[0]
    x = torch.randn(8, 8)
    feature, losses = chain(x, data_samples=samples([0, 1]))
    torch.testing.assert_close(feature, alone(2 * x)[0])
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
    assert neck(x) == (x, {})


def test_pass_through_of_several_instances_is_their_mean():
    neck, x = PassThroughNeck(num_instances=4), torch.randn(8, 8)
    out, losses = neck(x)
    torch.testing.assert_close(out.flatten(1), x.view(2, 4, 8).mean(1))
    assert losses == {}


def test_errors_say_what_to_change():
    neck = build(GEIIM)
    with pytest.raises(ValueError, match='set num_instances'):
        neck(torch.randn(8, 8), data_samples=samples([0, 1, 2]))
    with pytest.raises(ValueError, match='num_instances must be at least 1'):
        build(GEIIM, num_instances=0)
    with pytest.raises(ValueError, match='weight_source'):
        build(GEIIM, weight_source='x')
    with pytest.raises(ValueError, match='kernel_sizes must be positive'):
        build(GEIIM, kernel_sizes=(0, 1))
    with pytest.raises(ValueError, match='nodes'):
        build(GEIIM, nodes='x')
    with pytest.raises(ValueError, match="set nodes='instances'"):
        build(GRAPH, weight_source='adjacency')
    with pytest.raises(ValueError, match='kernel_sizes has no use'):
        build(GRAPH, kernel_sizes=(1, 3))
    for name in ('recurrence', 'norm', 'residual', 'weight_source'):
        with pytest.raises(ValueError, match=name):
            build(WIAN, **{name: 'x'})
    with pytest.raises(ValueError, match='multiple of 2'):
        build(WIAN, out_channels=9, num_heads=3)
    with pytest.raises(ValueError, match='multiple of 4'):
        build(GATED, out_channels=6, num_heads=3)


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
