"""The models that configs ship for a CPU, exported at their full size."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from micacl_mm.export import describe, export_onnx
from micacl_mm.export.checks import draw_frames, reference_scores

from .helpers import build, spread_scores, start

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

CONFIGS = Path(__file__).parents[2] / 'configs'
BOARD = 'leaderboard'
#: The demo, and each neck behind the R3D-18 of the board.
SHIPPED = ('micacl_demo.py',) + tuple(
    f'{BOARD}/{name}.py'
    for name in ('r3d18_mil', 'geiim', 'wian', 'micacl_reference', 'm3dfel')
)
#: Methods that differ from one of these only in a loss of the training.
ALIKE = {
    'mccl': 'r3d18_mil',
    'supcon': 'r3d18_mil',
    'micacl_plus': 'micacl_plus_without_mccl',
}


def model_of(name):
    return Config.fromfile(CONFIGS / name).model


@pytest.mark.parametrize('name', ALIKE)
def test_what_is_alike_without_the_loss_of_the_neck(name):
    first, second = (
        model_of(f'{BOARD}/{name}.py'),
        model_of(f'{BOARD}/{ALIKE[name]}.py'),
    )
    assert first != second
    for model in (first, second):
        model.neck.pop('aux_loss', None)
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize('name', SHIPPED)
def test_the_file_gives_the_scores_of_pytorch(name, tmp_path):
    cfg = Config.fromfile(CONFIGS / name)
    model = build(cfg.model)
    shape, metadata = describe(cfg, model)
    spread_scores(model, draw_frames(3, shape))
    path = tmp_path / 'x.onnx'
    assert export_onnx(model, path, shape, metadata).max_difference <= 1e-4
    session = start(path)
    for batch in (1, 4):
        frames = draw_frames(batch, shape)
        (found,) = session.run(None, {'frames': frames.numpy()})
        expected = reference_scores(model, frames)
        torch.testing.assert_close(
            torch.from_numpy(found), expected, atol=1e-4, rtol=0
        )
        # Scores near 0 and 1, or all equal, would hide differences.
        assert expected.std() > 0.02 and expected.max() < 0.99
