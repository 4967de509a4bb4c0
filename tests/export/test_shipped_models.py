"""The models that configs ship for a CPU, exported at their full size."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from micacl_mm.export import describe, export_onnx, export_program
from micacl_mm.export.checks import draw_frames, reference_scores

from ..mixing.families import FAMILIES, videos
from ..mixing.families import build as build_family
from .helpers import build, spread_scores, start, stir

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

CONFIGS = Path(__file__).parents[2] / 'configs'
SHIPPED = ('micacl_demo.py', 'leaderboard/micacl_reference.py')


@pytest.mark.slow
@pytest.mark.parametrize('name', SHIPPED)
def test_the_file_gives_the_scores_of_pytorch(name, tmp_path):
    cfg = Config.fromfile(CONFIGS / name)
    model = build(cfg.model)
    shape, metadata = describe(cfg, model)
    spread_scores(model, draw_frames(3, shape))
    path = tmp_path / 'x.onnx'
    assert export_onnx(model, path, shape, metadata).max_difference <= 1e-4
    frames = draw_frames(4, shape)
    (found,) = start(path).run(None, {'frames': frames.numpy()})
    expected = reference_scores(model, frames)
    torch.testing.assert_close(
        torch.from_numpy(found), expected, atol=1e-4, rtol=0
    )
    # Scores near 0 and 1, or all equal, would hide differences.
    assert expected.std() > 0.02 and expected.max() < 0.99


@pytest.mark.slow
@pytest.mark.parametrize('export', [export_onnx, export_program])
@pytest.mark.parametrize(
    ('name', 'column'),
    [
        ('SlowOnly', 'MCCL'),
        ('TimeSformer', 'GEIIM + WIAN + MCCL'),
        ('ViT of timm', 'MCCL'),
    ],
)
def test_other_backbones(name, column, export, tmp_path):
    (family,) = (family for family in FAMILIES if family.name == name)
    for package in family.needs:
        pytest.importorskip(package)
    torch.manual_seed(0)
    model = stir(build_family(family, column))
    shape = tuple(videos(family, column).shape[1:])
    spread_scores(model, draw_frames(3, shape))
    done = export(model, tmp_path / 'model', shape)
    assert done.max_difference <= 1e-4
