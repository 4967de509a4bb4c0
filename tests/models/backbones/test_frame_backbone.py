import copy
import pickle
import sys
import warnings

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import micacl_mm.models.backbones  # noqa: F401  registers FrameBackbone
from micacl_mm.registry import MODELS

from ..helpers import samples

VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
PLAIN_VIT = dict(
    type='mmpretrain.VisionTransformer', arch=VIT, img_size=32, patch_size=16
)
SMALL_RESNET = dict(
    type='ResNet',
    depth=18,
    num_stages=1,
    out_indices=(0,),
    strides=(1,),
    dilations=(1,),
)
MMPRETRAIN = dict(
    resnet=dict(
        type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=4
    ),
    convnext=dict(
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 16, 16]),
    ),
    swin=dict(
        type='mmpretrain.SwinTransformer',
        arch=dict(embed_dims=8, depths=[2, 1], num_heads=[1, 2]),
        img_size=32,
        window_size=4,
        out_indices=(1,),
    ),
    vit=PLAIN_VIT,
    clip=dict(PLAIN_VIT, pre_norm=True),
    dinov2=dict(
        PLAIN_VIT, img_size=28, patch_size=14, layer_scale_init_value=1e-5
    ),
    avg_featmap=dict(PLAIN_VIT, out_type='avg_featmap'),
    featmap=dict(PLAIN_VIT, out_type='featmap'),
    raw=dict(PLAIN_VIT, out_type='raw'),
)
TIMM = dict(
    resnet=dict(type='timm.test_resnet'),
    convnext=dict(type='timm.test_convnext'),
    vit=dict(type='timm.test_vit', img_size=32),
    clip=dict(
        type='timm.vit_base_patch16_clip_224',
        img_size=32,
        embed_dim=16,
        depth=1,
        num_heads=2,
    ),
    swin=dict(  # keeps channels last inside
        type='timm.swin_tiny_patch4_window7_224',
        img_size=32,
        embed_dim=8,
        depths=(2, 1),
        num_heads=(1, 2),
        window_size=4,
    ),
)
# Each with the path of its last linear layer.
TORCHVISION = dict(
    resnet=(dict(type='torchvision.resnet18'), 'fc'),
    mobilenet=(dict(type='torchvision.mobilenet_v2'), 'classifier.1'),
    vit=(
        dict(
            type='torchvision.VisionTransformer',
            image_size=32,
            patch_size=16,
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            mlp_dim=16,
        ),
        'heads.head',
    ),
    swin=(
        dict(
            type='torchvision.SwinTransformer',
            patch_size=[4, 4],
            embed_dim=8,
            depths=[1, 1],
            num_heads=[1, 2],
            window_size=[4, 4],
        ),
        'head',
    ),
)
RESNET = MMPRETRAIN['resnet']


class Tiny(nn.Module):
    """A smooth image model of four channels, as strangers write them."""

    def __init__(self, drop=0.0):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(11))
        self.dropout = nn.Dropout(drop)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).tanh()
        for layer in self.layers:
            x = x + layer(x).tanh()
        return self.dropout(x)


class Returns(nn.Module):
    """Returns what it is told to."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.fixture(autouse=True)
def _scope():
    # A Runner builds everything in this scope, MMPretrain's models, too.
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


def build(backbone, **kwargs):
    cfg = dict(type='FrameBackbone', backbone=backbone, **kwargs)
    return MODELS.build(cfg)


def clips(batch=2, length=3, size=32):
    return torch.randn(batch, 3, length, size, size)


def size_of(cfg):
    return cfg.get('img_size', 32)


def naive_mean(vector, x):
    """Call ``vector`` on one frame at a time."""
    rows = []
    for clip in x:
        frames = [vector(clip[:, t][None])[0] for t in range(x.shape[2])]
        rows.append(torch.stack(frames).mean(0))
    return torch.stack(rows)


def close(found, expected):
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', MMPRETRAIN)
def test_mmpretrain_equals_its_own_model_frame_by_frame(name):
    pytest.importorskip('mmpretrain')
    cfg = MMPRETRAIN[name]
    model = build(cfg, chunk_size=4)
    model.init_weights()
    theirs = MODELS.build(dict(cfg, _scope_='mmpretrain'))
    theirs.load_state_dict(model.backbone.state_dict())
    theirs.eval(), model.eval()

    def vector(frame):
        out = theirs(frame)[-1]
        if name == 'raw':
            return torch.stack([*out.unbind(1)]).mean(0)
        return out if out.dim() == 2 else out.mean((2, 3))

    x = clips(size=size_of(cfg))
    found = model(x)
    assert found.shape[2:] == (1, 1, 1)
    close(found.flatten(1), naive_mean(vector, x))


@pytest.mark.parametrize('name', TIMM)
def test_timm_equals_the_vector_before_its_classifier(name):
    timm = pytest.importorskip('timm')
    cfg = TIMM[name]
    model = build(cfg, chunk_size=4).eval()
    args = {k: v for k, v in cfg.items() if k != 'type'}
    theirs = timm.create_model(cfg['type'][5:], num_classes=10, **args).eval()
    left = theirs.load_state_dict(model.backbone.state_dict(), strict=False)
    assert left.unexpected_keys == [] and len(left.missing_keys) == 2

    def vector(frame):
        maps = theirs.forward_features(frame)
        return theirs.forward_head(maps, pre_logits=True)

    x = clips()
    close(model(x).flatten(1), naive_mean(vector, x))


def before(model, path):
    """A function that returns what goes into the layer at ``path``."""
    seen = []
    model.get_submodule(path).register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )

    def vector(frame):
        model(frame)
        return seen.pop()

    return vector


@pytest.mark.parametrize('name', TORCHVISION)
def test_torchvision_equals_what_enters_its_classifier(name):
    models = pytest.importorskip('torchvision.models')
    cfg, path = TORCHVISION[name]
    model = build(cfg, chunk_size=4).eval()
    args = {k: v for k, v in cfg.items() if k != 'type'}
    theirs = getattr(models, cfg['type'].partition('.')[2])(**args).eval()
    left = theirs.load_state_dict(model.backbone.state_dict(), strict=False)
    assert left.unexpected_keys == [] and len(left.missing_keys) == 2
    x = clips()
    close(model(x).flatten(1), naive_mean(before(theirs, path), x))


def test_torchvision_convnext_keeps_its_last_norm():
    convnext = pytest.importorskip('torchvision.models.convnext')
    blocks = [convnext.CNBlockConfig(8, None, 2)]
    theirs = convnext.ConvNeXt(blocks).eval()
    nn.init.normal_(theirs.classifier[0].weight)
    model = build(dict(type=convnext.ConvNeXt, block_setting=blocks)).eval()
    load_state_dict(model.backbone, theirs.state_dict())
    x = clips()
    expected = naive_mean(before(theirs, 'classifier.2'), x)
    close(model(x).flatten(1), expected)


@pytest.mark.parametrize(
    ('name', 'channels'), [('squeezenet1_1', 512), ('alexnet', 256)]
)
def test_torchvision_models_that_flatten_are_pooled(name, channels):
    models = pytest.importorskip('torchvision.models')
    model = build(dict(type=getattr(models, name))).eval()
    x = clips(1, 2, 80)
    expected = naive_mean(lambda f: model.backbone.features(f).mean((2, 3)), x)
    assert expected.shape == (1, channels)
    close(model(x).flatten(1), expected)


def test_torchvision_googlenet_loses_its_extra_classifiers():
    pytest.importorskip('torchvision')
    cfg = dict(type='torchvision.googlenet', init_weights=False)
    model = build(cfg)  # in training the model returned three outputs
    feature = model(clips(1, 2))
    feature.sum().backward()
    assert feature.shape == (1, 1024, 1, 1, 1)
    assert all(p.grad is not None for p in model.parameters())


def test_mmaction_equals_its_own_model_frame_by_frame():
    model = build(SMALL_RESNET).eval()
    x = clips()
    expected = naive_mean(lambda f: model.backbone(f).mean((2, 3)), x)
    close(model(x).flatten(1), expected)


def test_the_last_of_several_stages_counts():
    cfg = dict(SMALL_RESNET, num_stages=2, out_indices=(0, 1))
    cfg.update(strides=(1, 2), dilations=(1, 1))
    model = build(cfg).eval()
    x = clips()
    expected = naive_mean(lambda f: model.backbone(f)[1].mean((2, 3)), x)
    close(model(x).flatten(1), expected)


def test_types_may_be_classes_and_functions():
    models = pytest.importorskip('torchvision.models')
    timm_models = pytest.importorskip('timm.models')
    pretrained = pytest.importorskip('mmpretrain.models')
    for cfg in (
        dict(RESNET, type=pretrained.ResNet),
        dict(type=models.resnet18, num_classes=7),
        dict(type=timm_models.test_resnet),
        dict(type=Tiny),
    ):
        before_build = copy.deepcopy(cfg)
        feature = build(ConfigDict(cfg)).eval()(clips(1, 2))
        assert feature.isfinite().all() and feature.dim() == 5
        assert cfg == before_build


def test_parts_of_mmpretrains_models_are_found_in_its_own_registry():
    registry = pytest.importorskip('mmpretrain.registry').MODELS

    @registry.register_module(force=True)
    class Cube(nn.Module):
        def forward(self, x):
            return x**3

    cfg = dict(MMPRETRAIN['convnext'], act_cfg=dict(type='Cube'))
    model = build(cfg)
    assert any(isinstance(m, Cube) for m in model.modules())
    assert model(clips(1, 1)).isfinite().all()


def test_new_style_configs(tmp_path):
    pytest.importorskip('mmpretrain')
    file = tmp_path / 'config.py'
    file.write_text(
        'from mmpretrain.models import VisionTransformer\n'
        'from micacl_mm.models.backbones import FrameBackbone\n'
        'model = dict(type=FrameBackbone, backbone=dict('
        f'type=VisionTransformer, img_size=32, patch_size=16, arch={VIT}))\n'
    )
    cfg = Config.fromfile(file)
    model = MODELS.build(cfg.model)
    assert type(model.backbone).__name__ == 'VisionTransformer'
    assert model(clips()).shape == (2, 16, 1, 1, 1)
    assert cfg.model.backbone.img_size == 32  # still whole


@pytest.mark.parametrize('length', [1, 2, 5])
@pytest.mark.parametrize('batch', [1, 3])
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


@pytest.mark.parametrize('pooling', ['mean', 'max', 'attention', 'none'])
def test_gradcheck(pooling):
    model = build(
        dict(type=Tiny), pooling=pooling, in_channels=4, chunk_size=2
    )
    model.double().eval()
    x = torch.randn(1, 3, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(model, x, fast_mode=True)


@pytest.mark.parametrize('chunk_size', [1, 2, 4, 6, 100])
def test_chunks_change_nothing(chunk_size):
    x = clips(2, 3, 16)
    whole = build(SMALL_RESNET).eval()
    parts = build(SMALL_RESNET, chunk_size=chunk_size).eval()
    parts.load_state_dict(whole.state_dict())
    seen = []
    parts.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0]))
    )
    torch.testing.assert_close(parts(x), whole(x), rtol=1e-6, atol=1e-6)
    assert sum(seen) == 6 and max(seen) <= chunk_size


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
    with pytest.raises(ValueError, match='6 frames are no multiple.*clip_len'):
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


def step(model, x, seed=3):
    """Outputs, gradients and state after one backward pass."""
    model.zero_grad()
    torch.manual_seed(seed)
    out = model(x)
    out.square().sum().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    return out.detach(), gradients, dict(model.named_buffers())


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


@pytest.mark.parametrize('chunk_size', [None, 1, 4])
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


def test_recomputing_under_autocast():
    plain, again = build(RESNET), build(RESNET, chunk_size=8, with_cp=True)
    again.load_state_dict(plain.state_dict())
    x = clips(2, 4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        _, expected, _ = step(plain, x)
        out, found, _ = step(again, x)
    assert out.isfinite().all()
    torch.testing.assert_close(found, expected)


def learning(model):
    return {n for n, p in model.named_parameters() if p.requires_grad}


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


def test_frozen_norm_keeps_its_statistics():
    model = build(dict(type=Tiny), frozen='bn1').train()
    model(clips(2, 3, 8))
    assert model.backbone.bn1.num_batches_tracked == 0
    thawed = build(dict(type=Tiny), norm_eval=True).train()
    assert not thawed.backbone.bn1.training and thawed.backbone.conv1.training
    assert learning(thawed) >= {'backbone.bn1.weight'}
    thawed(clips(2, 3, 8))
    assert thawed.backbone.bn1.num_batches_tracked == 0


def test_every_part_frozen_by_name_is_all_frozen():
    model = build(dict(type=Tiny), frozen=['conv1', 'bn1', 'layers'])
    assert not model(clips(1, 2, 8)).requires_grad
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # as a hook that thaws it
    assert model(clips(1, 2, 8)).requires_grad


def test_frozen_names_what_there_is():
    with pytest.raises(ValueError, match="'layer'.*bn1, conv1, .*layers"):
        build(dict(type=Tiny), frozen=('conv1', 'layer'))


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


def randomised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def state_of(backbone):
    return copy.deepcopy(randomised(build(backbone).backbone).state_dict())


def recognizer(backbone, neck=None, channels=32):
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=backbone,
            neck=neck,
            cls_head=dict(
                type='I3DHead',
                num_classes=3,
                in_channels=channels,
                average_clips='prob',
            ),
        )
    )


CHECKPOINTS = dict(
    mmpretrain=RESNET,
    mmpretrain_vit=MMPRETRAIN['vit'],
    timm=TIMM['vit'],
    torchvision=TORCHVISION['vit'][0],
    mmaction=SMALL_RESNET,
    stranger=dict(type=Tiny),
)


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
@pytest.mark.parametrize('name', CHECKPOINTS)
def test_checkpoints_of_the_image_model(tmp_path, name, prefix):
    if name.partition('_')[0] in ('mmpretrain', 'timm', 'torchvision'):
        pytest.importorskip(name.partition('_')[0])
    cfg = CHECKPOINTS[name]
    saved = state_of(cfg)
    file = str(tmp_path / 'weights.pth')
    names = {f'{prefix or ""}{n}': value for n, value in saved.items()}
    torch.save(dict(state_dict=names), file)
    init_cfg = dict(type='Pretrained', checkpoint=file, prefix=prefix)
    model = recognizer(
        dict(type='FrameBackbone', backbone=dict(cfg, init_cfg=init_cfg))
    )
    model.init_weights()  # as a Runner does
    torch.testing.assert_close(model.backbone.backbone.state_dict(), saved)
    randomised(model)
    other = copy.deepcopy(model.backbone.state_dict())
    model.backbone.init_weights()  # a second time: not again
    torch.testing.assert_close(model.backbone.state_dict(), other)


@pytest.mark.parametrize('name', ['mmaction', 'stranger', 'timm'])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    if name == 'timm':
        pytest.importorskip('timm')
    saved = state_of(CHECKPOINTS[name])
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    cfg = dict(CHECKPOINTS[name], init_cfg=init_cfg)
    misfits = (
        {f'backbone.{n}': value for n, value in saved.items()},
        {n: value[None] for n, value in saved.items()},  # other shapes
    )
    for misfit in misfits:
        torch.save(misfit, tmp_path / 'w.pth')
        with pytest.raises(ValueError, match="fits no parameter.*prefix='b"):
            build(cfg).init_weights()
    some = dict(list(saved.items())[:1])
    torch.save(some, tmp_path / 'w.pth')
    model = build(cfg)
    model.init_weights()  # MMEngine logs what is missing
    # Afterwards, loading is as free as ever.
    load_state_dict(model.backbone, {'nothing': torch.zeros(1)})


def test_the_wrappers_own_init_cfg(tmp_path):
    saved = randomised(build(dict(type=Tiny))).state_dict()
    torch.save(saved, tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    model = build(dict(type=Tiny), init_cfg=init_cfg)
    model.init_weights()
    torch.testing.assert_close(model.state_dict(), saved)
    init_cfg = dict(type='Constant', layer='Conv2d', val=0.5, bias=0.25)
    model = build(dict(type=Tiny), init_cfg=init_cfg)
    model.init_weights()
    assert (model.backbone.conv1.weight == 0.5).all()


def test_timm_weights_survive_init_weights():
    # MMEngine would call timm's own init_weights, which starts anew.
    pytest.importorskip('timm')
    model = recognizer(
        dict(type='FrameBackbone', backbone=TIMM['vit']), channels=64
    )
    loaded = copy.deepcopy(randomised(model.backbone).state_dict())
    model.init_weights()
    torch.testing.assert_close(model.backbone.state_dict(), loaded)


@pytest.mark.parametrize(
    ('name', 'module', 'command'),
    [
        ('mmpretrain.ResNet', 'mmpretrain.models', 'mmpretrain==1.2.0'),
        ('timm.resnet18', 'timm', 'timm torchvision torch=='),
        ('torchvision.resnet18', 'torchvision.models', 'torchvision torch=='),
    ],
)
def test_a_missing_library_is_named(monkeypatch, name, module, command):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'run: pip install {command}'):
        build(dict(type=name))


@pytest.mark.parametrize(
    ('shape', 'axes', 'where'),
    [
        ((7, 5, 5), 'NLC', 1),
        ((7, 5, 5), 'NCL', 2),
        ((7, 4, 4, 4), 'NHWC', (1, 2)),
        ((7, 4, 4, 4), 'NCHW', (2, 3)),
        ((7, 4, 4, 4), None, (2, 3)),
    ],
)
def test_feature_shape(shape, axes, where):
    out = torch.randn(shape)
    model = build(dict(type=Returns, make=lambda _: out), feature_shape=axes)
    expected = out.mean(where).mean(0)
    close(model(clips(1, 7, 4)).flatten(), expected)


@pytest.mark.parametrize(
    ('out', 'error', 'match'),
    [
        (torch.zeros(7, 5, 5), ValueError, 'unclear.*set feature_shape'),
        (torch.zeros(7, 2, 2, 2, 2), ValueError, 'unclear'),
        (torch.zeros(6, 5), ValueError, 'one feature for each of 7'),
        (torch.zeros(7), ValueError, 'one feature for each of 7'),
        ((), TypeError, 'out_indices'),
        (dict(x=1), TypeError, 'got dict'),
    ],
)
def test_unclear_outputs_are_refused(out, error, match):
    model = build(dict(type=Returns, make=lambda _: out))
    with pytest.raises(error, match=match):
        model(clips(1, 7, 4))


def test_unpooled_maps_of_timm_must_be_explained():
    pytest.importorskip('timm')
    cfg = dict(TIMM['swin'], global_pool='')
    x = clips()
    with pytest.raises(ValueError, match='unclear'):
        build(cfg)(x)
    model = build(cfg, feature_shape='NHWC').eval()
    expected = naive_mean(lambda f: model.backbone(f).mean((1, 2)), x)
    assert expected.shape == (2, 16)
    close(model(x).flatten(1), expected)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(pooling='sum'), 'pooling must be one of'),
        (dict(pooling='attention'), 'needs in_channels'),
        (dict(feature_shape='CHW'), 'feature_shape must be one of'),
        (dict(chunk_size=0), 'chunk_size must be at least 1'),
    ],
)
def test_errors_say_what_to_change(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(dict(type=Tiny), **kwargs)


def test_more_errors_say_what_to_change():
    with pytest.raises(ValueError, match=r'\(2, 3, 8, 8\).*NCTHW'):
        build(dict(type=Tiny))(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match='in_channels=5.*size 4'):
        build(dict(type=Tiny), in_channels=5)(clips(1, 2, 8))
    for backbone in (dict(depth=18), 'ResNet', dict(type=3)):
        with pytest.raises(TypeError, match='backbone'):
            build(backbone)
    with pytest.raises(TypeError, match='must give an nn.Module, got dict'):
        build(dict(type=dict))
    pytest.importorskip('torchvision')
    with pytest.raises(ValueError, match='no model .resnet19.*list_models'):
        build(dict(type='torchvision.resnet19'))


NECK = dict(
    type='NeckChain',
    num_instances=4,
    necks=[
        dict(type='GEIIM', in_channels=32),
        dict(type='WIAN', in_channels=32, out_channels=32),
    ],
    aux_loss=dict(type='MCCLLoss', class_counts=[9, 3, 1]),
)


@pytest.fixture
def one_rank():
    torch.distributed.init_process_group(
        'gloo', store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('pooling', ['mean', 'attention', 'none'])
def test_a_whole_model(pooling):
    pytest.importorskip('mmpretrain')
    backbone = dict(
        type='FrameBackbone',
        backbone=dict(RESNET, frozen_stages=0),
        pooling=pooling,
        in_channels=32,
        chunk_size=5,
        with_cp=True,
    )
    model = recognizer(backbone, NECK)
    model.init_weights()
    randomised(model).train()  # MMPretrain starts branches at zero
    x, truth = torch.randn(2, 4, 3, 3, 32, 32), samples([0, 1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = model(x, truth, mode='loss')
    assert {'loss_cls', 'loss_mccl'} <= set(losses)
    loss = losses['loss_cls'] + losses['loss_mccl']
    loss.backward()
    stem = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert {n.split('.')[2] for n in stem} == {'conv1', 'bn1'}
    for name, parameter in model.named_parameters():
        if name not in stem:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
    optimizer.step()
    model.eval()
    with torch.no_grad():
        scores = [s.pred_score for s in model(x, samples([0, 1]), 'predict')]
        assert all(s.sum().item() == pytest.approx(1) for s in scores)
        other = recognizer(backbone, NECK).eval()
        other.load_state_dict(model.state_dict())
        for twin in (
            other,
            copy.deepcopy(model),
            pickle.loads(pickle.dumps(model)),
        ):
            again = twin(x, samples([0, 1]), mode='predict')
            for sample, score in zip(again, scores, strict=True):
                torch.testing.assert_close(sample.pred_score, score)


def test_without_a_neck():
    pytest.importorskip('mmpretrain')
    model = recognizer(dict(type='FrameBackbone', backbone=RESNET)).eval()
    x = torch.randn(2, 4, 3, 3, 32, 32)
    found = model(x, samples([0, 1]), mode='predict')
    rows = model.backbone(x.flatten(0, 1)).flatten(1)  # (8, C')
    scores = model.cls_head.fc_cls(rows).softmax(1).view(2, 4, 3).mean(1)
    for sample, expected in zip(found, scores, strict=True):
        torch.testing.assert_close(sample.pred_score, expected)


def test_distributed_training_finds_every_parameter_in_use(one_rank):
    pytest.importorskip('timm')
    for cfg in (RESNET, TIMM['vit'], dict(type=Tiny)):
        model = build(cfg, chunk_size=2, with_cp=True)
        alone = copy.deepcopy(model)
        wrapped = nn.parallel.DistributedDataParallel(model)
        for _ in range(2):  # an unused parameter stops the second
            x = clips(1, 4)
            _, expected, _ = step(alone, x)
            wrapped.zero_grad()
            wrapped(x).square().sum().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name])
