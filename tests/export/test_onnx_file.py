"""ONNX files, run by onnxruntime."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from micacl_mm.export import ExportError, export_onnx, onnx_file
from micacl_mm.export.checks import draw_frames, reference_scores

from .helpers import (
    CHANNELS,
    CLASSES,
    SHAPE,
    build,
    config,
    head,
    micacl_neck,
    start,
)

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).parents[2]
ABOUT = {'classes': ['a', 'b', 'ä'], 'size': [8, 8], 'method': 'tiny'}


@pytest.fixture(scope='module')
def micacl(tmp_path_factory):
    """A tiny MICACL and its file."""
    folder = tmp_path_factory.mktemp('onnx') / 'new' / 'folder'
    model = build()
    done = export_onnx(model, folder / 'tiny.onnx', SHAPE, ABOUT)
    return SimpleNamespace(
        model=model, done=done, folder=folder, session=start(done.path)
    )


def test_one_file_and_nothing_beside_it(micacl):
    assert [*micacl.folder.iterdir()] == [micacl.done.path]
    assert 0 <= micacl.done.max_difference <= 1e-6


def test_names_and_axes(micacl):
    (frames,) = micacl.session.get_inputs()
    (scores,) = micacl.session.get_outputs()
    assert (frames.name, scores.name) == ('frames', 'scores')
    assert frames.shape == ['batch', *SHAPE]
    assert scores.shape == ['batch', CLASSES]
    assert frames.type == 'tensor(uint8)'


def test_metadata(micacl):
    texts = micacl.session.get_modelmeta().custom_metadata_map
    assert {k: json.loads(v) for k, v in texts.items()} == ABOUT


def test_no_folder_of_this_machine_is_in_it(micacl):
    data = micacl.done.path.read_bytes()
    assert b'site-packages' not in data
    assert str(ROOT).encode() not in data


@pytest.mark.parametrize('batch', [1, 2, 5, 17])
def test_any_batch_gives_the_scores_of_test_step(micacl, batch):
    frames = draw_frames(batch, SHAPE)
    (found,) = micacl.session.run(None, {'frames': frames.numpy()})
    expected = reference_scores(micacl.model, frames)
    torch.testing.assert_close(
        torch.from_numpy(found), expected, atol=1e-6, rtol=0
    )
    # Each row is that of its own video.
    assert len({tuple(row) for row in found.round(5).tolist()}) == batch


def test_wrong_frames_are_refused_by_the_runtime(micacl):
    wrong = draw_frames(1, (3, *SHAPE[1:])).numpy()
    with pytest.raises(Exception, match='Got: 3 Expected: 2'):
        micacl.session.run(None, {'frames': wrong})
    scaled = draw_frames(1, SHAPE).numpy() / 255
    with pytest.raises(Exception, match='expected: .*uint8'):
        micacl.session.run(None, {'frames': scaled.astype('float32')})


REFERENCE = dict(
    type='NeckChain',
    necks=[
        dict(
            type='GEIIM',
            in_channels=CHANNELS,
            nodes='channels',
            weight_source='channels',
        ),
        dict(
            type='WIAN',
            in_channels=CHANNELS,
            out_channels=8,
            recurrence='gated',
            qkv_only=True,
            unbiased=True,
            residual='none',
        ),
    ],
)
NECKS = {
    'GEIIM and WIAN, reference': REFERENCE,
    'GEIIM': dict(
        type='GEIIM',
        in_channels=CHANNELS,
        depth=2,
        kernel_sizes=(2, 3),
    ),
    'WIAN': dict(type='WIAN', in_channels=CHANNELS, out_channels=8),
    'WIAN, plain': dict(
        type='WIAN',
        in_channels=CHANNELS,
        out_channels=8,
        residual='none',
        weight_source='uniform',
        num_layers=1,
    ),
}


@pytest.mark.parametrize('name', NECKS)
def test_necks(name, tmp_path):
    neck = dict(NECKS[name], num_instances=2)
    channels = 8 if 'WIAN' in name else CHANNELS
    model = build(config(neck=neck, cls_head=head(in_channels=channels)))
    done = export_onnx(model, tmp_path / 'x.onnx', SHAPE)
    assert done.max_difference <= 1e-6


def test_one_instance_and_one_class(tmp_path):
    neck = dict(micacl_neck(num_instances=1), aux_loss=None)
    model = build(config(neck=neck, cls_head=head(num_classes=1)))
    done = export_onnx(model, tmp_path / 'x.onnx', (1, *SHAPE[1:]))
    frames = draw_frames(2, (1, *SHAPE[1:])).numpy()
    (scores,) = start(done.path).run(None, {'frames': frames})
    assert scores.tolist() == [[1.0], [1.0]]


PASSING = config(
    neck=dict(type='PassThroughNeck', num_instances=2),
    cls_head=head(in_channels=CHANNELS),
)


def test_opset_and_swapped_channels(tmp_path):
    path = tmp_path / 'x.onnx'
    swapped = dict(PASSING['data_preprocessor'], to_rgb=True)
    model = build({**PASSING, 'data_preprocessor': swapped})
    export_onnx(model, path, SHAPE, opset=19)
    (version,) = (o.version for o in onnx.load(path).opset_import)
    assert version == 19
    for wrong in (11, 99):
        with pytest.raises(ValueError, match=f'must be 18 to .*, got {wrong}'):
            export_onnx(build(PASSING), path, SHAPE, opset=wrong)


def test_other_scores_are_not_written(tmp_path, monkeypatch):
    runner = onnx_file._runner

    def shifted(onnxruntime, path):
        """A runtime that is a little wrong, at large batches only."""
        run = runner(onnxruntime, path)
        return lambda frames: run(frames) + 2e-4 * (len(frames) > 1)

    monkeypatch.setattr(onnx_file, '_runner', shifted)
    path = tmp_path / 'x.onnx'
    path.write_text('the old one')
    with pytest.raises(ExportError, match='by 2.0e-04 .* 1e-04 are allowed'):
        export_onnx(build(PASSING), path, SHAPE)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]


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


def test_a_wrong_shape_is_said(tmp_path):
    for shape, match in (
        (SHAPE[1:], 'must have 6 axes'),
        ((2, 4, *SHAPE[2:]), 'does not take frames of shape'),
        ((3, *SHAPE[1:]), 'no multiple of num_instances=2'),
    ):
        with pytest.raises(ValueError, match=match):
            export_onnx(build(PASSING), tmp_path / 'x.onnx', shape)


def test_a_model_too_large_for_protobuf(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, 'LIMIT', 10)
    with pytest.raises(ExportError, match='holds 2 GB; export the program'):
        export_onnx(build(PASSING), tmp_path / 'x.onnx', SHAPE)


def test_a_batch_of_one_is_no_check(tmp_path):
    with pytest.raises(ValueError, match='batch must be at least 2, got 1'):
        export_onnx(build(PASSING), tmp_path / 'x.onnx', SHAPE, batch=1)


@pytest.mark.parametrize('name', ['onnx', 'onnxscript', 'onnxruntime'])
def test_a_missing_package_names_the_cure(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'{name}.*install .\.\[export\]'):
        export_onnx(build(PASSING), tmp_path / 'x.onnx', SHAPE)
