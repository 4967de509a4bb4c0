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
            torch.cat(
                [model.backbone(image[None]) for image in clip.unbind(1)]
            )
            for clip in x
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


@pytest.mark.parametrize(
    'out',
    [
        *(torch.zeros(7, 5, 5), torch.zeros(7, 2, 2, 2, 2), torch.zeros(6, 5)),
        *(torch.zeros(7), (), dict(x=1), [[torch.zeros(7, 5)] * 2]),
    ],
    ids=lambda out: str(getattr(out, 'shape', out)),
)
def test_unclear_outputs_are_refused(out):
    model = build(dict(type=Returns, make=lambda _: out))
    with pytest.raises(ValueError, match='for each of 7 frames.*out_indices'):
        model(clips(1, 7, 4))


def test_unclear_outputs_of_libraries_are_refused():
    pytest.importorskip('timm')
    pytest.importorskip('mmpretrain')
    distilled = dict(PLAIN_VIT, type='mmpretrain.DistilledVisionTransformer')
    for cfg in (dict(TIMM['swin'], global_pool=''), distilled):
        with pytest.raises(ValueError, match='must return one feature'):
            build(cfg)(clips())


def test_errors_say_what_to_change():
    for kwargs, match in (
        (dict(pooling='sum'), 'pooling must be one of'),
        (dict(pooling='attention'), 'needs in_channels'),
        (dict(chunk_size=0), 'chunk_size must be at least 1'),
    ):
        with pytest.raises(ValueError, match=match):
            build(dict(type=Tiny), **kwargs)
    with pytest.raises(ValueError, match=r'\(2, 3, 8, 8\).*NCTHW'):
        build(dict(type=Tiny))(torch.zeros(2, 3, 8, 8))
    for backbone in (dict(depth=18), 'ResNet', dict(type=3)):
        with pytest.raises(
            TypeError, match="backbone must be a dict whose 't"
        ):
            build(backbone)
    with pytest.raises(TypeError, match='must give an nn.Module, got dict'):
        build(dict(type=dict))
    pytest.importorskip('torchvision')
    with pytest.raises(ValueError, match='no model .resnet19.*list_models'):
        build(dict(type='torchvision.resnet19'))
