"""FrameBackbone: outputs and poolings, chunks, frozen parts."""

import copy
import re
import warnings

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from tests.sets import logged

from .cases import (
    PLAIN_VIT,
    RESNET,
    SMALL_RESNET,
    TIMM,
    Returns,
    Tiny,
    build,
    clips,
    close,
    learning,
    naive_mean,
    step,
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


@pytest.mark.parametrize(
    ('length', 'chunk_size', 'sizes'),
    [
        *((3, 1, [1] * 3), (3, 100, [3]), (5, 4, [3, 2]), (7, 3, [3, 2, 2])),
        *((6, 2, [2] * 3), (3, 2, [2, 1])),
    ],
)
def test_chunks_are_even_and_change_nothing(length, chunk_size, sizes):
    x = clips(1, length, 16)
    whole = build(SMALL_RESNET).eval()
    parts = build(SMALL_RESNET, chunk_size=chunk_size).eval()
    parts.load_state_dict(whole.state_dict())
    seen = []
    parts.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0]))
    )
    torch.testing.assert_close(parts(x), whole(x), rtol=1e-6, atol=1e-6)
    assert seen == sizes


TSM = dict(
    type='ResNetTSM',
    depth=18,
    num_segments=4,
    shift_div=2,
    pretrained2d=False,
)


def test_temporal_shift_sees_the_frames_of_one_clip_in_order():
    model = build(TSM, pooling='none', chunk_size=4).eval()
    x = clips(2, 8)
    found = model(x)[..., 0, 0]  # (B, C', T)
    for clip, feature in zip(x, found, strict=True):
        for start in (0, 4):  # its segments
            frames = clip[:, start : start + 4].transpose(0, 1)
            expected = model.backbone(frames).mean((2, 3))
            close(feature[:, start : start + 4].T, expected)
    backward = model(x.flip(2))[..., 0, 0].flip(2)
    assert not torch.allclose(backward, found, atol=1e-3)


def test_segments_are_not_cut_apart():
    with pytest.raises(ValueError, match='multiple of num_segments=4'):
        build(TSM, chunk_size=6)
    with pytest.raises(ValueError, match='multiple of num_segm.*clip_len'):
        build(TSM)(clips(2, 6))


class PeakMemory(TorchDispatchMode):
    """Most bytes of tensors, made within it, that live at the same time."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, torch.Tensor):
                ref = StorageWeakRef(x.untyped_storage())
                self.alive[ref.cdata] = ref, x.untyped_storage().nbytes()
        self.alive = {
            k: v for k, v in self.alive.items() if not v[0].expired()
        }
        now = sum(size for _, size in self.alive.values())
        self.peak = max(self.peak, now)
        return out


def test_recomputing_keeps_a_training_step_in_the_memory_of_a_chunk():
    def peak(length, **kwargs):
        torch.manual_seed(0)
        model = build(dict(type=Tiny), **kwargs)
        x = clips(1, length, 32)
        step(model, x)  # gradients exist from here on
        with PeakMemory() as memory:
            model(x).sum().backward()
        return memory.peak

    frames = 3 * 32 * 32 * 4  # bytes of one input frame
    short, long = peak(2, chunk_size=2), peak(16, chunk_size=2)
    assert long > 7 * short  # without, it grows with the frames
    kept = dict(chunk_size=2, with_cp=True)
    short, long = peak(2, **kept), peak(16, **kept)
    # Only the frames themselves and their features grow.
    assert long - short < 1.1 * 14 * frames
    assert long < 0.25 * peak(16, chunk_size=2)


@pytest.mark.parametrize('chunk_size', [None, 4])
def test_recomputing_changes_no_number(chunk_size):
    plain = build(dict(type=Tiny, drop=0.5), chunk_size=chunk_size)
    again = build(
        dict(type=Tiny, drop=0.5), chunk_size=chunk_size, with_cp=True
    )
    again.load_state_dict(plain.state_dict())
    x = clips(2, 3, 8)
    for found, expected in zip(step(again, x), step(plain, x), strict=True):
        # Buffers among them: a chunk counts once in the running statistics.
        torch.testing.assert_close(found, expected)
    assert plain.backbone.bn1.num_batches_tracked > 0
    assert again.backbone.bn1.momentum == 0.1


@pytest.mark.parametrize(
    ('chunk_size', 'with_cp'),
    [(1, False), (4, False), (4, True), (None, True)],
)
def test_running_statistics_forget_as_without_chunks(chunk_size, with_cp):
    model = build(dict(type=Tiny), chunk_size=chunk_size, with_cp=with_cp)
    nn.init.zeros_(model.backbone.conv1.weight)
    nn.init.constant_(model.backbone.conv1.bias, 2)  # the mean of all frames
    norm = model.backbone.bn1
    norm.running_mean.fill_(7)
    for step_count in (1, 2):
        model(clips(2, 3, 4)).sum().backward()
        old = 0.9**step_count
        close(norm.running_mean, torch.full((4,), old * 7 + (1 - old) * 2))
    assert norm.momentum == 0.1


def test_all_frozen():
    model = build(
        RESNET, frozen=True, pooling='attention', in_channels=32, with_cp=True
    )
    before_step = copy.deepcopy(model.backbone.state_dict())
    assert model.training
    assert not any(m.training for m in model.backbone.modules())
    assert not any(m.training for m in model.train().backbone.modules())
    out = model(clips())
    out.sum().backward()
    assert learning(model) == {
        'attention.value.weight',
        'attention.value.bias',
        'attention.gate.weight',
        'attention.gate.bias',
        'attention.score.weight',
    }
    assert all(p.grad is not None for p in model.attention.parameters())
    torch.testing.assert_close(model.backbone.state_dict(), before_step)
    pixels = clips().requires_grad_()
    assert not build(RESNET, frozen=True)(pixels).requires_grad


def test_frozen_parts_are_whole_components():
    model = build(dict(type=Tiny), frozen=('conv1.weight', 'layers.1'))
    model.train()
    still = {'conv1.weight', 'layers.1.weight', 'layers.1.bias'}
    names = dict(model.backbone.named_parameters())
    assert {n for n in names if not names[n].requires_grad} == still
    modes = {n: m.training for n, m in model.backbone.named_modules()}
    assert [n for n in modes if not modes[n]] == ['layers.1']
    x = clips(2, 3, 8)
    model(x).sum().backward()
    assert {n for n in names if names[n].grad is None} == still


def test_frozen_names_what_there_is():
    with pytest.raises(ValueError, match="'layer'.*bn1, conv1, .*layers"):
        build(dict(type=Tiny), frozen=('conv1', 'layer'))


@pytest.mark.parametrize('stages', [1, 2])
def test_what_the_image_model_freezes_is_in_eval_mode(stages):
    pytest.importorskip('mmpretrain')
    cfg = dict(
        PLAIN_VIT, frozen_stages=stages, drop_rate=0.5, drop_path_rate=0.5
    )
    model = build(cfg).train()
    vit = model.backbone
    still = [vit.patch_embed, vit.drop_after_pos, *vit.layers[:stages]]
    for part in still:
        assert not any(m.training for m in part.modules())
    for layer in vit.layers[stages:]:
        assert all(m.training for m in layer.modules())
    x = clips(4, 4)
    assert torch.equal(model(x), model(x)) == (stages == 2)


def test_the_image_models_own_freezing_keeps_working():
    pytest.importorskip('mmpretrain')
    cfg = dict(RESNET, frozen_stages=1, norm_eval=True, with_cp=True)
    model = build(cfg).train()
    names = {n.split('.')[1] for n in learning(model)}
    assert names == {'layer2', 'layer3', 'layer4'}
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # how MMPretrain calls checkpoint
        model(clips()).sum().backward()
    grads = {n for n, p in model.named_parameters() if p.grad is not None}
    assert grads == learning(model)


def test_frozen_random_values_are_reported(tmp_path):
    pytest.importorskip('mmpretrain')
    torch.save(build(PLAIN_VIT).backbone.state_dict(), tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    for cfg, kwargs, expected in (
        (dict(type=Tiny), dict(frozen='conv1'), '2 p.* Tiny .*conv1.weight'),
        (dict(PLAIN_VIT, frozen_stages=1), {}, 'VisionTrans.*patch_embed'),
        (dict(PLAIN_VIT, init_cfg=init_cfg), dict(frozen=True), None),
        (dict(type=Tiny), {}, None),
    ):
        with logged() as found:
            build(cfg, **kwargs).init_weights()
        found = [line for line in found if 'they are random' in line]
        assert len(found) == (expected is not None)
        if expected:
            assert re.search(f'{expected}.*give init_cfg', found[0])


@pytest.mark.parametrize('pooling', ['max', 'attention'])
def test_gradcheck(pooling):
    model = build(
        dict(type=Tiny), pooling=pooling, in_channels=4, chunk_size=2
    )
    model.double().eval()
    x = torch.randn(1, 3, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(model, x, fast_mode=True)
