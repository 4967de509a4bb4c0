"""Every leaf builds at its real size, and trains and predicts when small."""

from copy import deepcopy
from pathlib import Path

import mmaction
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS

from ..models.helpers import samples
from .methods import FAMILIES, METHODS, load

DFEW = [1956, 1515, 2135, 1738, 1175, 116, 721]
#: Millions of parameters as published, with the number of classes there:
#: MMAction2's model zoo, and the papers of R(2+1)D, I3D's re-implementation
#: (SlowFast), TimeSformer and VideoMAE.
PUBLISHED = {
    'r3d18_mil': (33.4, 400),
    'c3d': (78.4, 101),
    'i3d': (28.0, 400),
    'r2plus1d18': (33.3, 400),
    'r3d18': (33.4, 400),
    'x3d': (3.794, 400),
    'slowonly': (32.45, 400),
    'tsm': (23.87, 174),
    'swin_tiny': (28.2, 400),
    'mvit_small': (34.5, 400),
    'timesformer': (121.4, 400),
    'videomae_vit_small': (22, 400),
    'videomae_vit_base': (87, 400),
}
#: The last layer's part for the patches, where the class token is all.
IDLE = {
    'mvit_small': {
        f'backbone.blocks.3.attn.{name}'
        for name in ('rel_pos_h', 'rel_pos_w', 'rel_pos_t', 'pool_q.weight')
    }
}
AUXILIARY = {
    'supcon': ['loss_supcon'],
    **dict.fromkeys(
        ('mccl', 'geiim_wian_mccl', 'micacl_plus', 'micacl_reference'),
        ['loss_mccl'],
    ),
}
#: Families in which a gain of zero shuts something off at first.
GATED = ('x3d', 'slowonly', 'timesformer')
#: Their rates of stochastic depth come from tensors.
NOT_ABSTRACT = ('swin_tiny', 'videomae_vit_small', 'videomae_vit_base')


@pytest.fixture(autouse=True)
def _scope(request):
    init_default_scope('mmaction')
    method = getattr(request.node, 'callspec', None)
    if method and method.params.get('method') == 'clip_vit_base':
        pytest.importorskip('mmpretrain')


def build(name, method):
    model = MODELS.build(deepcopy(load(name, method).model))
    for module in model.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(DFEW)
    return model


def build_large(method):
    device = 'cpu' if method in NOT_ABSTRACT else 'meta'
    with torch.device(device):
        return MODELS.build(deepcopy(load('dfew', method).model))


def videos(labels, size=48):
    """What the loader hands over: bags of 4 instances of 4 frames."""
    shape = (len(labels), 4, 3, 4, size, size)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8)
    return dict(inputs=list(clips), data_samples=samples(labels))


@pytest.mark.parametrize('method', METHODS)
def test_real_size(method):
    model = build_large(method)
    assert model.with_neck == (method not in FAMILIES)
    if method in PUBLISHED:
        millions, classes = PUBLISHED[method]
        width = model.cls_head.in_channels
        if method == 'x3d':
            width = model.cls_head.mid_channels
        ours = sum(p.numel() for p in model.parameters())
        ours += (classes - 7) * (width + 1)
        assert ours / 1e6 == pytest.approx(millions, rel=0.01)


#: Of whose published weights the README says that they fit, as they were
#: trained, below mmaction's configs/recognition.
STOCK = {
    'i3d': 'i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb',
    'x3d': 'x3d/x3d_m_16x5x1_facebook-kinetics400-rgb',
    'slowonly': 'slowonly/slowonly_imagenet-pretrained-r50_8xb16-8x8x1-'
    'steplr-150e_kinetics400-rgb',
    'tsm': 'tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb',
    'swin_tiny': 'swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_'
    'kinetics400-rgb',
    'mvit_small': 'mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb',
    'timesformer': 'timesformer/timesformer_divST_8xb8-8x32x1-15e_'
    'kinetics400-rgb',
    'videomae_vit_small': 'videomaev2/vit-small-p16_videomaev2-vit-g-dist-'
    'k710-pre_16x4x1_kinetics-400',
    'videomae_vit_base': 'videomae/vit-base-p16_videomae-k400-pre_16x4x1_'
    'kinetics-400',
}


@pytest.mark.slow
@pytest.mark.parametrize('method', STOCK)
def test_published_weights_fit(method):
    folder = Path(mmaction.__file__).parent / '.mim/configs/recognition'
    stock = Config.fromfile(folder / f'{STOCK[method]}.py').model
    for key in ('pretrained', 'init_cfg'):
        stock.backbone.pop(key, None)
    # MMAction2's MViT-S has stochastic depth, ours has none.
    device = 'cpu' if method in (*NOT_ABSTRACT, 'mvit_small') else 'meta'
    with torch.device(device):
        theirs = MODELS.build(deepcopy(stock)).state_dict()
    ours = build_large(method).state_dict()
    shapes = [{k: v.shape for k, v in m.items()} for m in (theirs, ours)]
    odd = {name for name, _ in set(shapes[0].items()) ^ set(shapes[1].items())}
    anew = {n for n in odd if n.startswith('cls_head.')}
    if method == 'timesformer':  # 16 frames for 8
        anew.add('backbone.time_embed')
    assert odd == anew and any(n.startswith('cls_head.') for n in odd)
    one, other = stock.data_preprocessor, load('dfew', method).model
    for key in ('mean', 'std'):
        assert list(one[key]) == list(other.data_preprocessor[key])


@pytest.mark.parametrize('method', METHODS)
def test_trains_and_predicts(method):
    model, cfg = build('synthetic', method), load('synthetic', method)
    model.init_weights()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    size = 32 if method == 'c3d' else 48  # the same features, in less time
    moved = dict.fromkeys(name for name, _ in model.named_parameters())
    one_step = method in FAMILIES and method not in GATED
    for step in range(1 if one_step else 2):
        if step:
            optimizer.step()
            optimizer.zero_grad()
        # A pair and a negative, for the contrastive losses.
        batch = model.data_preprocessor(videos([5, 0, 5], size), training=True)
        loss, logged = model.parse_losses(model(**batch, mode='loss'))
        losses = {key for key in logged if key.startswith('loss_')}
        assert losses == {'loss_cls', *AUXILIARY.get(method, ())}
        loss.backward()
        assert loss.isfinite()
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all(), name
            moved[name] = moved[name] or parameter.grad.any().item()
    # What a gain of zero shuts off at first is reached in the second step.
    still = {name for name in moved if not moved[name]}
    assert still == IDLE.get(method, set())
    model.eval()
    for sample in model.test_step(videos([0, 1], size)):
        assert sample.pred_score.shape == (7,)
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)
    check_order(model)


def check_order(model):
    """All see the same frames in their order."""
    seen = []

    def look(_, inputs):
        pre = model.data_preprocessor
        clips = inputs[0].movedim(1, -1)  # channels last
        pixels = clips * pre.std.flatten() + pre.mean.flatten()
        seen.append(pixels.flatten(-3).mean(-1).flatten())
        raise InterruptedError

    model.backbone.register_forward_pre_hook(look)
    frames = torch.arange(2 * 16).view(2, 4, 1, 4, 1, 1)
    clips = frames.expand(2, 4, 3, 4, 48, 48).to(torch.uint8)
    data = dict(inputs=list(clips), data_samples=samples([0, 1]))
    with pytest.raises(InterruptedError):
        model.test_step(data)
    torch.testing.assert_close(seen[0], torch.arange(32.0))


def test_supcon_equals_pytorch_metric_learning():
    losses = pytest.importorskip('pytorch_metric_learning.losses')
    loss = build('synthetic', 'supcon').neck.aux_loss
    features, labels = torch.randn(12, 128), torch.arange(12) % 4
    expected = losses.SupConLoss(temperature=0.1)(
        loss.projection(features), labels
    )
    torch.testing.assert_close(loss(features, labels), 0.1 * expected)


def test_the_chain_of_m3dfel_has_no_graph_no_weights_and_no_way_around():
    neck = build('synthetic', 'm3dfel').neck
    parts = {name for name, _ in neck.named_children()}
    assert parts == {'recurrent', 'attention', 'norm', 'squeeze'}
    assert neck.aux_loss is None and type(neck.norm).__name__ == 'DMIN'
