"""What the necks looked at, for every combination of them."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from micacl_mm import WIAN, PassThroughNeck
from micacl_mm.apis import explain, occlusion, without_instance
from micacl_mm.models.bag import Bag
from micacl_mm.registry import MODELS
from tests.models.helpers import samples

CHANNELS, SIZE, CLASSES = 8, 4, 3
GRAPH = dict(type='GEIIM', in_channels=CHANNELS)
CHAIN = dict(type='WIAN', in_channels=CHANNELS, out_channels=16)
GATES = dict(GRAPH, nodes='channels', weight_source='channels')
EVEN = dict(CHAIN, weight_source='uniform')
NECKS = {
    'GEIIM': GRAPH,
    'gates': GATES,
    'WIAN': CHAIN,
    'even WIAN': EVEN,
    'mean': dict(type='PassThroughNeck', num_instances=SIZE),
    'GEIIM + WIAN': dict(type='NeckChain', necks=[GRAPH, CHAIN]),
    'GEIIM + even WIAN': dict(type='NeckChain', necks=[GRAPH, EVEN]),
}


class Model(nn.Module):
    """Neck and linear layer, with the interface of a recognizer."""

    def __init__(self, neck):
        super().__init__()
        self.neck = neck
        width = 16 if neck.aggregates else CHANNELS
        self.fc = nn.Linear(width, CLASSES)

    def test_step(self, x):
        feats, _ = self.neck(x)
        answers = samples([0] * len(feats))
        scores = self.fc(feats.flatten(1)).softmax(1)
        for answer, score in zip(answers, scores, strict=True):
            answer.set_pred_score(score)
        return answers


def build(name):
    init_default_scope('mmaction')
    model = Model(MODELS.build(NECKS[name])).eval()
    for parameter in model.parameters():  # also those that start at zero
        nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(params=NECKS)
def name(request):
    return request.param


@pytest.fixture
def x():
    return torch.randn(5 * SIZE, CHANNELS)


def scores(model, x):
    return torch.stack([s.pred_score for s in model.test_step(x)])


def test_weights_graph_and_attention_are_there_where_they_are(name, x):
    model = build(name)
    with torch.no_grad(), explain(model) as seen:
        model.test_step(x)
    weights = seen.instance_weights
    assert weights.shape == (5, SIZE) and weights.isfinite().all()
    assert torch.allclose(weights.sum(1), torch.ones(5))
    assert (seen.adjacency is not None) == ('GEIIM' in name)
    assert (seen.attention is not None) == ('WIAN' in name or 'in a' in name)
    if seen.adjacency is not None:
        assert torch.allclose(seen.adjacency.sum(1), torch.ones(SIZE))
    if seen.attention is not None:
        assert seen.attention.shape == (5, 8, SIZE, SIZE)
        total = seen.attention.sum(-1)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_the_weights_are_those_that_were_used(x):
    bags, found = Bag(x.view(5, SIZE, CHANNELS)), {}
    for name in ('GEIIM', 'WIAN', 'GEIIM + WIAN'):
        model = build(name)
        with torch.no_grad(), explain(model) as seen:
            model.test_step(x)
            found = {
                'GEIIM': lambda neck: neck.process(bags).weights,
                'WIAN': lambda neck: neck.weigh(bags.features),
                'GEIIM + WIAN': lambda neck: (
                    neck.necks[0].process(bags).weights
                ),
            }[name](model.neck)
        assert torch.equal(seen.instance_weights, found)
    for even in ('mean', 'gates', 'even WIAN', 'GEIIM + even WIAN'):
        model = build(even)
        with torch.no_grad(), explain(model) as seen:
            model.test_step(x)
        assert torch.all(seen.instance_weights == 1 / SIZE)


def test_attention_weights_are_those_of_the_fused_attention(x):
    attention = build('WIAN').neck.attention
    h = torch.randn(2, SIZE, 16)
    value = attention.qkv(h).unflatten(-1, (3, 8, -1))[:, :, 2]
    out = attention.weights(h) @ value.transpose(1, 2)
    expected = attention.project(out.transpose(1, 2).flatten(2))
    assert torch.allclose(attention(h), expected, atol=1e-6)


def test_nothing_stays_behind(name, x):
    model = build(name)
    before = scores(model, x)
    with pytest.raises(RuntimeError, match='stop'), explain(model) as seen:
        raise RuntimeError('stop')
    with explain(model):
        assert torch.equal(scores(model, x), before)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert 'process' not in vars(module)
    model.test_step(x)
    assert len(seen.instance_weights) == 0
    assert torch.equal(scores(copy.deepcopy(model), x), before)


def test_one_instance_and_a_batch_of_one():
    neck = WIAN(in_channels=CHANNELS, out_channels=16, num_instances=1)
    model = Model(neck).eval()
    with torch.no_grad(), explain(model) as seen:
        model.test_step(torch.randn(1, CHANNELS, 2, 3, 3))
    assert seen.instance_weights.tolist() == [[1.0]]
    with pytest.raises(ValueError, match='num_instances=1'):
        occlusion(model, torch.randn(1, CHANNELS))
    passing = Model(PassThroughNeck()).eval()
    with torch.no_grad(), explain(passing) as seen:
        passing.test_step(torch.randn(2, CHANNELS, 1, 1, 1))
    assert seen.instance_weights.tolist() == [[1.0], [1.0]]


def test_models_without_our_neck_are_refused():
    with pytest.raises(TypeError, match='no neck on bags'):
        explain(nn.Linear(1, 1)).__enter__()


def test_an_instance_left_out_has_the_mean_of_the_others(x):
    model = build('mean')
    bags = x.view(5, SIZE, CHANNELS)
    expected = model.fc(bags[:, [0, 1, 3]].mean(1)).softmax(1)
    with without_instance(model, 2):
        assert torch.allclose(scores(model, x), expected, atol=1e-6)
    full = model.fc(bags.mean(1)).softmax(1)
    assert torch.allclose(scores(model, x), full, atol=1e-6)


def test_occlusion_is_the_drop_of_the_predicted_class(name, x):
    model = build(name)
    drops = occlusion(model, x)
    assert drops.shape == (5, SIZE) and drops.isfinite().all()
    before = scores(model, x)
    label = before.argmax(1)
    for index in range(SIZE):
        with without_instance(model, index):
            after = scores(model, x)
        rows = torch.arange(5)
        expected = (before - after)[rows, label]
        assert torch.allclose(drops[:, index], expected, atol=1e-6)


def test_watches_may_nest(x):
    model = build('GEIIM')
    with torch.no_grad(), explain(model) as outer:
        with explain(model) as inner:
            model.test_step(x)
        model.test_step(x)
    first, again = outer.instance_weights.chunk(2)
    assert torch.equal(first, again)
    assert torch.equal(first, inner.instance_weights)
