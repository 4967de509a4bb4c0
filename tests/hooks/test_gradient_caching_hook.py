from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from micacl_mm.hooks import GradientCachingHook
from micacl_mm.registry import HOOKS, MODELS

from ..models.backbones.test_frame_backbone import PeakMemory
from ..models.helpers import samples


class Backbone(nn.Module):
    """A few convolutions; what it gives can be a tuple, as of SlowFast."""

    def __init__(self, norm, drop=0.0, pair=False, two_d=False, depth=0):
        super().__init__()
        conv = nn.Conv2d if two_d else nn.Conv3d
        norms = dict(
            none=nn.Identity,
            batch=nn.BatchNorm2d if two_d else nn.BatchNorm3d,
            group=lambda channels: nn.GroupNorm(2, channels),
        )
        self.layers = nn.Sequential(
            conv(3, 8, 3),
            norms[norm](8),
            nn.ReLU(),
            nn.Dropout(drop),
            *[conv(8, 8, 3, padding=1) for _ in range(depth)],
            (nn.AdaptiveAvgPool2d if two_d else nn.AdaptiveAvgPool3d)(1),
        )
        self.calls, self.pair = [], pair

    def forward(self, x):
        self.calls.append(len(x))
        x = self.layers(x)
        return (x[:, :4], x[:, 4:]) if self.pair else x


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmaction')
    MODELS.register_module(module=Backbone, name='Backbone', force=True)
    yield
    MODELS._module_dict.pop('Backbone')


def build(kind='Recognizer3D', queue_size=0, **backbone):
    torch.manual_seed(0)
    loss = dict(
        type='MCCLLoss',
        class_counts=[4, 3],
        in_channels=16,
        prototypes=True,
        queue_size=queue_size,
    )
    model = dict(
        type=kind,
        backbone=dict(type='Backbone', **backbone),
        neck=dict(
            type='WIAN',
            in_channels=8,
            out_channels=16,
            num_instances=2,
            num_heads=2,
            aux_loss=loss,
        ),
        cls_head=dict(
            type='I3DHead', num_classes=2, in_channels=16, dropout_ratio=0
        ),
        data_preprocessor=dict(type='ActionDataPreprocessor'),
    )
    return MODELS.build(model)


def cut(model, micro_batch_size):
    hook = HOOKS.build(
        dict(
            type='GradientCachingHook',
            micro_batch_size=micro_batch_size,
        )
    )
    runner = SimpleNamespace(model=model)
    hook.before_train(runner)
    return hook, runner


def step(model, videos=7, seed=1):
    """One batch forwards and backwards: losses, gradients, buffers."""
    model.zero_grad()
    torch.manual_seed(seed)
    x = torch.randn(videos, 2, 3, 4, 8, 8)
    if type(model).__name__ == 'Recognizer2D':
        x = x[:, :, :, 0]
    y = samples([i % 2 for i in range(videos)])
    losses = model(x, y, mode='loss')
    model.parse_losses(losses)[0].backward()
    return (
        {name: value.detach() for name, value in losses.items()},
        {name: p.grad for name, p in model.named_parameters()},
        dict(model.named_buffers()),
    )


@pytest.mark.parametrize('kind', ['Recognizer3D', 'Recognizer2D'])
@pytest.mark.parametrize('norm', ['none', 'group'])
@pytest.mark.parametrize('micro, sizes', [(1, [2] * 7), (3, [6, 4, 4])])
def test_it_equals_the_whole_batch(kind, norm, micro, sizes):
    options = dict(norm=norm, two_d=kind == 'Recognizer2D', queue_size=9)
    plain, cached = build(kind, **options), build(kind, **options)
    cut(cached, micro)
    for seed in (1, 2):  # the second meets the features of the first
        torch.testing.assert_close(
            step(cached, seed=seed), step(plain, seed=seed)
        )
    # Each part twice, one after the other: the last part's graph goes first.
    assert cached.backbone.calls == [*sizes, *sizes[::-1]] * 2


def micro_batches(model, sizes):
    """The plain way: whole graphs of all parts at the same time."""
    whole = model.backbone.forward
    model.backbone.forward = lambda x: torch.cat(
        [whole(part) for part in x.split(sizes)]
    )
    return model


def test_batch_norm_and_dropout_are_those_of_micro_batches():
    plain, cached = (build(norm='batch', drop=0.5) for _ in range(2))
    micro_batches(plain, [6, 4, 4])
    norm = plain.backbone.layers[1]
    norm.momentum = 1 - (1 - norm.momentum) ** (1 / 3)
    cut(cached, 3)
    losses, gradients, buffers = step(cached)
    torch.testing.assert_close((losses, gradients, buffers), step(plain))
    assert cached.backbone.layers[1].num_batches_tracked == 3
    # And not those of the whole batch.
    assert losses['loss_mccl'] != step(build(norm='batch'))[0]['loss_mccl']


def test_memory_is_that_of_a_micro_batch():
    def peak(model, videos):
        step(model, videos)  # gradients exist from here on
        with PeakMemory() as memory:
            step(model, videos)
        return memory.peak

    def grown(cached):
        model = build(norm='group', depth=9)
        if cached:
            cut(model, 2)
        return peak(model, 32) - peak(model, 8)

    # Without it activations grow, with it only the videos and features.
    assert grown(cached=True) < 0.4 * grown(cached=False)


def test_evaluation_and_what_comes_after_are_untouched():
    model = build(norm='none')
    hook, runner = cut(model, 1)
    x = torch.randn(4, 2, 3, 4, 8, 8)
    with torch.no_grad():
        model(x, mode='tensor')
    assert model.backbone.calls == [8]
    model.eval()(x, mode='tensor')
    assert model.backbone.calls == [8, 8]
    hook.after_train(runner)
    model.train()(x, mode='tensor').sum().backward()
    assert model.backbone.calls == [8, 8, 8]
    assert 'forward' not in vars(model.backbone)
    assert not model._forward_pre_hooks


def test_what_cannot_be_divided():
    with pytest.raises(ValueError, match='at least 1.*got 0'):
        GradientCachingHook(0)
    cut(nn.Linear(1, 1), 1)  # nothing to divide
