"""ONNX files and programs give the scores of ``test_step``, or are refused."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from micacl_mm.export import (
    ExportError,
    export_onnx,
    export_program,
    files,
)
from micacl_mm.export.exportable_recognizer import draw_frames
from micacl_mm.export.files import check_scores, reference_scores

from .helpers import (
    CHANNELS,
    CLASSES,
    SHAPE,
    build,
    config,
    head,
    micacl_neck,
    spread_scores,
    start,
)

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).parents[2]
ABOUT = {'classes': ['a', 'b', 'ä'], 'size': [8, 8], 'method': 'tiny'}
PASSING = config(
    neck=dict(type='PassThroughNeck', num_instances=2),
    cls_head=head(in_channels=CHANNELS),
)


@pytest.fixture(scope='module')
def passing():
    return build(PASSING)


def check_rows(found, model, frames):
    expected = reference_scores(model, frames)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    # Each row is that of its own video.
    assert len({tuple(row) for row in found.tolist()}) == len(frames)


def check_clean(path):
    """One file, in which no folder of this machine is named."""
    assert [*path.parent.iterdir()] == [path]
    data = path.read_bytes()
    assert b'site-packages' not in data and str(ROOT).encode() not in data


def test_an_onnx_file(tmp_path):
    path = tmp_path / 'new' / 'tiny.onnx'
    swapped = dict(config()['data_preprocessor'], to_rgb=True)
    model = build(config(data_preprocessor=swapped))
    assert 0 <= export_onnx(model, path, SHAPE, ABOUT, opset=19) <= 1e-6
    check_clean(path)
    session = start(path)
    (frames,), (scores,) = session.get_inputs(), session.get_outputs()
    assert (frames.name, scores.name) == ('frames', 'scores')
    assert frames.shape == ['batch', *SHAPE]
    assert scores.shape == ['batch', CLASSES]
    assert frames.type == 'tensor(uint8)'
    texts = session.get_modelmeta().custom_metadata_map
    assert {k: json.loads(v) for k, v in texts.items()} == ABOUT
    (version,) = (o.version for o in onnx.load(path).opset_import)
    assert version == 19
    for batch in (1, 2, 7):
        frames = draw_frames(batch, SHAPE)
        (found,) = session.run(None, {'frames': frames.numpy()})
        check_rows(torch.from_numpy(found), model, frames)
    wrong = draw_frames(1, (3, *SHAPE[1:])).numpy()
    with pytest.raises(Exception, match='Got: 3 Expected: 2'):
        session.run(None, {'frames': wrong})
    scaled = draw_frames(1, SHAPE).numpy() / 255
    with pytest.raises(Exception, match='expected: .*uint8'):
        session.run(None, {'frames': scaled.astype('float32')})
    for wrong in (11, 99):
        with pytest.raises(ValueError, match=f'must be 18 to .*, got {wrong}'):
            export_onnx(model, path, SHAPE, opset=wrong)


def test_a_program(tmp_path):
    path, model = tmp_path / 'new' / 'tiny.pt2', build()
    assert export_program(model, path, SHAPE, ABOUT) <= 1e-6
    check_clean(path)
    extra = {'metadata.json': ''}
    with path.open('rb') as file:
        program = torch.export.load(file, extra_files=extra).module()
    assert json.loads(extra['metadata.json']) == ABOUT
    for batch in (1, 2, 7):
        frames = draw_frames(batch, SHAPE)
        check_rows(program(frames), model, frames)
    with pytest.raises(Exception, match='frames'):
        program(draw_frames(2, (3, *SHAPE[1:])))


def test_the_reference_necks(tmp_path):
    """Gated recurrence and a graph over channels, of one layer."""
    graph = dict(type='GEIIM', in_channels=CHANNELS, nodes='channels')
    chain = dict(type='WIAN', in_channels=CHANNELS, out_channels=8)
    necks = [
        dict(graph, weight_source='channels'),
        dict(
            chain,
            residual='none',
            recurrence='gated',
            num_layers=1,
            qkv_only=True,
            unbiased=True,
        ),
    ]
    neck = dict(type='NeckChain', num_instances=2, necks=necks)
    path = tmp_path / 'x.onnx'
    assert export_onnx(build(config(neck=neck)), path, SHAPE) <= 1e-6


def test_one_instance_and_one_class(tmp_path):
    neck = dict(micacl_neck(num_instances=1), aux_loss=None)
    model = build(config(neck=neck, cls_head=head(num_classes=1)))
    path = tmp_path / 'x.pt2'
    export_program(model, path, (1, *SHAPE[1:]))
    program = torch.export.load(path).module()
    scores = program(draw_frames(2, (1, *SHAPE[1:])))
    assert scores.tolist() == [[1.0], [1.0]]


def demo():
    """R3D-18 with GEIIM and WIAN, as in the demo but narrow."""
    cfg = Config.fromfile(ROOT / 'configs/micacl_demo.py').model
    cfg.backbone.base_channels = 2
    for neck in cfg.neck.necks:
        neck.in_channels = 16
    return build(cfg)


def test_half_precision(tmp_path):
    path, model, shape = tmp_path / 'x.onnx', demo(), (4, 3, 4, 16, 16)
    spread_scores(model, draw_frames(3, shape))
    difference = export_onnx(model, path, shape, ABOUT, half=True)
    assert 1e-6 < difference <= 5e-3
    graph = onnx.load(path).graph
    kinds = {t.data_type for t in graph.initializer if len(t.dims) > 1}
    assert onnx.TensorProto.FLOAT not in kinds
    session = start(path)
    assert session.get_inputs()[0].type == 'tensor(uint8)'
    assert session.get_outputs()[0].type == 'tensor(float)'
    assert session.get_modelmeta().custom_metadata_map['size'] == '[8, 8]'
    for batch in (1, 2, 7):
        frames = draw_frames(batch, shape)
        (found,) = session.run(None, {'frames': frames.numpy()})
        expected = reference_scores(model, frames)
        torch.testing.assert_close(
            torch.from_numpy(found), expected, atol=5e-3, rtol=0
        )


def test_what_float16_cannot_hold_is_refused(tmp_path):
    model = build(PASSING)
    # Features of 1e6: the float32 scores are fine.
    model.backbone.backbone[1].weight.data.mul_(1e6)
    model.cls_head.fc_cls.weight.data.div_(1e6)
    with pytest.raises(ExportError, match='5e-03 are allowed|other classes'):
        export_onnx(model, tmp_path / 'x.onnx', SHAPE, half=True)
    assert not [*tmp_path.iterdir()]


def test_other_classes_are_refused(passing):
    def expect(scores):
        return lambda frames: torch.tensor([scores] * len(frames))

    def check(run, half=True):
        return check_scores(run, passing, SHAPE, torch.uint8, 2, half)

    with pytest.MonkeyPatch.context() as patch:
        near = expect([0.4, 0.402, 0.198])
        patch.setattr(files, 'reference_scores', lambda m, x: near(x))
        assert check(expect([0.399, 0.401, 0.2])) < 5e-3
        with pytest.raises(ExportError, match='other classes'):
            check(expect([0.402, 0.4, 0.198]))
        tie = expect([0.4, 0.4005, 0.1995])
        patch.setattr(files, 'reference_scores', lambda m, x: tie(x))
        assert check(expect([0.4005, 0.4, 0.1995])) < 5e-3
        with pytest.raises(ExportError, match='1e-04 are allowed'):
            check(expect([0.4005, 0.4, 0.1995]), half=False)


def test_other_scores_are_not_written(passing, tmp_path, monkeypatch):
    scores = files.reference_scores
    monkeypatch.setattr(
        files,
        'reference_scores',
        # A little off, at large batches only.
        lambda model, x: scores(model, x) + 2e-4 * (len(x) > 1),
    )
    path = tmp_path / 'x'
    path.write_text('the old one')
    with pytest.raises(ExportError, match='by 2.0e-04 .* 1e-04 are allowed'):
        export_program(passing, path, SHAPE)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]
    for export in (export_onnx, export_program):
        with pytest.raises(ValueError, match='batch must be at least 2'):
            export(passing, path, SHAPE, batch=1)


def error(frames):
    raise OSError('no such engine\nand more')


@pytest.mark.parametrize(
    'run, match',
    [
        (lambda frames: torch.rand(len(frames), CLASSES), 'differ by'),
        (
            lambda frames: torch.full((len(frames), CLASSES), torch.nan),
            'differ by nan',
        ),
        (
            lambda frames: torch.zeros(len(frames), 1, CLASSES),
            r'shape \(1, 1, 3\) for 1 videos, PyTorch \(1, 3\)',
        ),
        (error, 'fails on 1 videos: OSError: no such engine'),
    ],
)
def test_what_is_not_the_same(run, match, passing):
    with pytest.raises(ExportError, match=match):
        check_scores(run, passing, SHAPE, torch.uint8, 3)


def test_what_torch_cannot_trace_is_said(tmp_path):
    model = build(PASSING)
    stock = model.backbone.forward
    # Only the data tells which.
    model.backbone.forward = lambda x: stock(x if x.mean() > 0 else -x)
    with pytest.raises(ExportError, match='torch.export cannot follow'):
        export_onnx(model, tmp_path / 'x.onnx', SHAPE)
    # A list makes a number of the batch size.
    model.backbone.forward = lambda x: stock(torch.cat([*x.split(1)]))
    with pytest.raises(ExportError, match='number of videos for a constant'):
        export_onnx(model, tmp_path / 'x.onnx', SHAPE)
    assert not [*tmp_path.iterdir()]


def test_a_wrong_shape_is_said(passing, tmp_path):
    for shape, match in (
        (SHAPE[1:], 'must have 6 axes'),
        ((2, 4, *SHAPE[2:]), 'does not take frames of shape'),
        ((3, *SHAPE[1:]), 'no multiple of num_instances=2'),
    ):
        with pytest.raises(ValueError, match=match):
            export_onnx(passing, tmp_path / 'x.onnx', shape)


def test_a_model_too_large_for_protobuf(passing, tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'LIMIT', 10)
    with pytest.raises(ExportError, match='holds 2 GB; export the program'):
        export_onnx(passing, tmp_path / 'x.onnx', SHAPE)


@pytest.mark.parametrize('name', ['onnx', 'onnxscript', 'onnxruntime'])
def test_a_missing_package_names_the_cure(
    name, passing, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'{name}.*install .\.\[export\]'):
        export_onnx(passing, tmp_path / 'x.onnx', SHAPE)
