import pytest
import torch

from .cases import (
    PLAIN_VIT,
    SMALL_RESNET,
    TIMM,
    Returns,
    Tiny,
    build,
    clips,
    close,
    naive_mean,
)


def test_the_last_of_several_stages_counts():
    cfg = dict(SMALL_RESNET, num_stages=2, out_indices=(0, 1))
    cfg.update(strides=(1, 2), dilations=(1, 1))
    model = build(cfg).eval()
    x = clips()
    expected = naive_mean(lambda f: model.backbone(f)[1].mean((2, 3)), x)
    close(model(x).flatten(1), expected)


@pytest.mark.parametrize(('batch', 'length'), [(1, 1), (3, 2)])
def test_poolings_equal_loops(batch, length):
    x = clips(batch, length, 8)
    found = {}
    for pooling in ('mean', 'max', 'attention', 'none'):
        torch.manual_seed(1)
        model = build(dict(type=Tiny), pooling=pooling, in_channels=4).eval()
        found[pooling] = model(x)
        assert found[pooling].isfinite().all()
    frames = torch.stack(
        [
            torch.stack(
                [
                    model.backbone(c[:, [t]].movedim(1, 0))[0]
                    for t in range(length)
                ]
            )
            for c in x
        ]
    ).mean((3, 4))  # (B, T, C')
    assert found['none'].shape == (batch, 4, length, 1, 1)
    close(found['none'][..., 0, 0], frames.transpose(1, 2))
    close(found['mean'].flatten(1), frames.mean(1))
    close(found['max'].flatten(1), frames.max(1).values)
    torch.manual_seed(1)
    model = build(dict(type=Tiny), pooling='attention', in_channels=4).eval()
    rows = []
    for clip in frames:
        weights = model.attention(clip[None])[0]
        rows.append(sum(w * f for w, f in zip(weights, clip, strict=True)))
    close(found['attention'].flatten(1), torch.stack(rows))


@pytest.mark.parametrize('pooling', ['max', 'attention'])
def test_gradcheck(pooling):
    model = build(
        dict(type=Tiny), pooling=pooling, in_channels=4, chunk_size=2
    )
    model.double().eval()
    x = torch.randn(1, 3, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(model, x, fast_mode=True)


@pytest.mark.parametrize(
    ('out', 'error', 'match'),
    [
        (torch.zeros(7, 5, 5), ValueError, 'unclear.*wrap it'),
        (torch.zeros(7, 2, 2, 2, 2), ValueError, 'unclear'),
        (torch.zeros(6, 5), ValueError, 'one feature for each of 7'),
        (torch.zeros(7), ValueError, 'one feature for each of 7'),
        ((), TypeError, 'out_indices'),
        (dict(x=1), TypeError, 'got dict'),
        ([[torch.zeros(7, 5)] * 2], TypeError, 'got 2 outputs'),
    ],
)
def test_unclear_outputs_are_refused(out, error, match):
    model = build(dict(type=Returns, make=lambda _: out))
    with pytest.raises(error, match=match):
        model(clips(1, 7, 4))


def test_unpooled_maps_of_timm_are_refused():
    pytest.importorskip('timm')
    with pytest.raises(ValueError, match='unclear'):
        build(dict(TIMM['swin'], global_pool=''))(clips())


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(pooling='sum'), 'pooling must be one of'),
        (dict(pooling='attention'), 'needs in_channels'),
        (dict(chunk_size=0), 'chunk_size must be at least 1'),
    ],
)
def test_errors_say_what_to_change(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(dict(type=Tiny), **kwargs)


def test_more_errors_say_what_to_change():
    with pytest.raises(ValueError, match=r'\(2, 3, 8, 8\).*NCTHW'):
        build(dict(type=Tiny))(torch.zeros(2, 3, 8, 8))
    for backbone in (dict(depth=18), 'ResNet', dict(type=3)):
        with pytest.raises(TypeError, match='backbone'):
            build(backbone)
    with pytest.raises(TypeError, match='must give an nn.Module, got dict'):
        build(dict(type=dict))
    pytest.importorskip('torchvision')
    with pytest.raises(ValueError, match='no model .resnet19.*list_models'):
        build(dict(type='torchvision.resnet19'))


def test_a_distilled_model_is_refused():
    pytest.importorskip('mmpretrain')
    cfg = dict(PLAIN_VIT, type='mmpretrain.DistilledVisionTransformer')
    with pytest.raises(TypeError, match='2 outputs, as class and distil'):
        build(cfg)(clips())
