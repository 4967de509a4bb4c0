"""Every backbone family with every part of ours, by configuration alone.

The table in docs/mixing.md is written from the results of this file:
``WRITE_MATRIX=1 python -m pytest -n 0 tests/mixing/test_matrix.py``
"""

import copy
import os
import re
import sys
import types
from pathlib import Path

import mmaction.models.backbones as stock_backbones
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint, save_checkpoint

from micacl_mm.registry import MODELS

from ..models.helpers import predict, samples
from .families import (
    FAMILIES,
    LABELS,
    Family,
    K,
    build,
    head_of,
    neck_of,
    videos,
)

DOCS = Path(__file__).parents[2] / 'docs' / 'mixing.md'
MARKS = ('<!-- matrix: begin -->\n', '<!-- matrix: end -->')
ALL = 'GEIIM + WIAN + MCCL'
CROPS = 2


#: Stock models that cannot take a bag, and what the error says.
REFUSALS = {
    'ResNetAudio in RecognizerAudio': (
        dict(
            type='RecognizerAudio', backbone=dict(type='ResNetAudio', depth=50)
        ),
        'calls no neck',
    ),
    'RGBPoseConv3D in MMRecognizer3D': (
        dict(
            type='MMRecognizer3D',
            backbone=dict(type='RGBPoseConv3D', pretrained=None),
        ),
        'calls no neck',
    ),
    'OmniResNet in RecognizerOmni': (
        dict(
            type='RecognizerOmni',
            backbone=dict(type='OmniResNet', layers=[1, 1, 1, 1]),
            cls_head=dict(
                type='OmniHead',
                image_classes=3,
                video_classes=3,
                in_channels=2048,
            ),
            data_preprocessor=dict(type='ActionDataPreprocessor'),
        ),
        "unexpected keyword argument 'neck'",
    ),
    'ResNet3dLayer, a stage of detection heads': (
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='ResNet3dLayer', depth=18, pretrained=None, stage=3
            ),
        ),
        'channels',
    ),
}
forms: dict[str, str] = {}
reasons: dict[str, str] = {}


def form_of(features, family: Family) -> str:
    """What the backbone returns, in words of shapes."""
    if not isinstance(features, torch.Tensor):
        inner = ', '.join(form_of(part, family) for part in features)
        return f'[{inner}]' if isinstance(features, list) else f'({inner})'
    axes = {2: 'BC', 4: 'BCHW', 5: 'BCTHW'}[features.dim()]
    if family.recognizer == 'RecognizerGCN':
        axes = 'BPCTV'  # people, joints
    elif family.backbone['type'] == 'FrameBackbone':
        assert features.shape[2:] == (1, 1, 1)
        axes = 'BC111'
    return f'({", ".join(axes)})'


def check_a_step(model, inputs) -> None:
    for name, parameter in model.neck.named_parameters():
        if 'adjacency' in name:  # of two nodes the ReLU may let none pass
            parameter.data.abs_()
        if not parameter.any():  # what starts at zero hides what is behind
            torch.nn.init.normal_(parameter, std=0.1)
    losses = model.train()(inputs, samples(LABELS), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(value.isfinite().all() for value in losses.values())
    for name, parameter in model.neck.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert losses['loss_cls'] > 0
    assert model.neck.aux_loss is None or losses['loss_mccl'] > 0
    model.zero_grad()


def check_mean_of_equal_clips(stock, family: Family) -> None:
    """The features of a neck are in the order that the head was trained on."""
    if family.head == 'TSMHead':
        return  # joins frames itself
    inputs = videos(family, 'MCCL')[:, :1]
    model = copy.copy(stock)
    model._modules = {
        **stock._modules,
        'neck': MODELS.build(dict(type='PassThroughNeck', num_instances=2)),
    }
    twice = inputs.repeat_interleave(2, dim=1)
    torch.testing.assert_close(predict(model, twice), predict(stock, inputs))


def tin_shift(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """TIN's operator, which only the compiled mmcv has, as a loop.

    Shifts groups of channels of x (N, T, C, H * W) along time by shift (N, G),
    zeros coming in.
    """
    groups = x.unflatten(2, (shift.shape[1], -1))
    out = torch.zeros_like(groups)
    for n, steps in enumerate(shift.tolist()):
        for g, step in enumerate(steps):
            for t in range(x.shape[1]):
                if 0 <= t + step < x.shape[1]:
                    out[n, t + step, g] = groups[n, t, g]
    return out.flatten(2, 3)


@pytest.fixture(autouse=True)
def _tin_operator(monkeypatch):
    try:
        import mmcv.ops  # noqa: F401  the full mmcv
    except ImportError:
        operators = types.ModuleType('mmcv.ops')
        operators.tin_shift = tin_shift
        monkeypatch.setitem(sys.modules, 'mmcv.ops', operators)


@pytest.mark.parametrize('family', FAMILIES, ids=str)
def test_row(family, tmp_path):
    for package in family.needs:
        pytest.importorskip(package)
    model = build(family, 'MCCL')
    model.init_weights()
    check_a_step(model, videos(family, 'MCCL'))
    crops = videos(family, 'MCCL', CROPS)
    scores = predict(model, crops)
    model._modules.pop('neck')  # which leaves prediction alone
    assert torch.equal(predict(model, crops), scores)
    check_mean_of_equal_clips(model, family)
    for column in ('GEIIM', 'WIAN', ALL):
        model.neck = MODELS.build(neck_of(family, column))
        model.cls_head = MODELS.build(head_of(family, column))
        check_a_step(model, videos(family, column))
    check_prediction(model, family, tmp_path / 'model.pth')


def check_prediction(model, family, path):
    """Crops are averaged; the checkpoint gives the same scores."""
    crops = videos(family, ALL, CROPS)
    scores = predict(model, crops)
    assert scores.shape == (len(LABELS), K) and scores.isfinite().all()
    parts = crops.chunk(CROPS, dim=1)
    apart = [predict(model, part.contiguous()) for part in parts]
    # TANet makes much of roundings, which change with the batch.
    torch.testing.assert_close(
        scores, torch.stack(apart).mean(0), rtol=1e-3, atol=1e-4
    )
    save_checkpoint(dict(state_dict=model.state_dict()), str(path))
    other = build(family, ALL)
    load_checkpoint(other, str(path), 'cpu', strict=True)
    assert torch.equal(predict(other, crops), scores)
    with torch.no_grad():
        features, _ = model.extract_feat(crops, stage='backbone')
    forms[family.name] = form_of(features, family)


def test_every_stock_backbone_has_a_row():
    covered = {family.backbone['type'] for family in FAMILIES}
    covered |= {model['backbone']['type'] for model, _ in REFUSALS.values()}
    # MobileOneTSM is absent from the list where mmpretrain is not installed.
    assert set(stock_backbones.__all__) <= covered


@pytest.mark.parametrize('name', REFUSALS)
def test_what_cannot_work_says_why(name):
    init_default_scope('mmaction')
    model, match = copy.deepcopy(REFUSALS[name])
    with pytest.raises((TypeError, RuntimeError)) as error:
        neck = dict(type='PassThroughNeck', num_instances=1)
        model = MODELS.build(dict(model, neck=neck))
        model(torch.rand(2, 1, 3, 4, 32, 32), samples([0, 1]), mode='loss')
    assert re.search(match, str(error.value))
    reasons[name] = str(error.value).splitlines()[0]


def table() -> str:
    lines = [['backbone', 'gives', 'head'], ['---'] * 3]
    for family in FAMILIES:
        heads = [head_of(family, c)['type'] for c in ('MCCL', 'GEIIM')]
        heads = ', '.join(dict.fromkeys(heads))
        name = family.name + (f' ({family.note})' if family.note else '')
        lines.append([name, f'`{forms[family.name]}`', heads])
    text = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
    notes = [f'- {n}: no. {w[0].upper()}{w[1:]}\n' for n, w in reasons.items()]
    return text + '\n' + ''.join(notes)


def test_the_table_in_the_docs_is_of_this_run():
    if len(reasons) < len(REFUSALS) or len(forms) < len(FAMILIES):
        pytest.skip('not all rows ran: part of them selected, or no images')
    text = DOCS.read_text(encoding='utf-8')
    before, rest = text.split(MARKS[0])
    old, after = rest.split(MARKS[1])
    new = table()
    if os.environ.get('WRITE_MATRIX'):
        DOCS.write_text(
            before + MARKS[0] + new + MARKS[1] + after, encoding='utf-8'
        )
        old = new
    assert old == new, 'run again with WRITE_MATRIX=1 to write it'
