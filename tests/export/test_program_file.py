"""Files of torch.export."""

import json

import pytest
import torch

from micacl_mm.export import ExportError, checks, export_program
from micacl_mm.export.checks import draw_frames, reference_scores

from .helpers import CHANNELS, SHAPE, build, config, head

ABOUT = {'classes': ['a', 'b', 'c']}


def test_loaded_again_with_any_batch(tmp_path):
    model = build()
    path = tmp_path / 'new' / 'tiny.pt2'
    done = export_program(model, path, SHAPE, ABOUT)
    assert [*path.parent.iterdir()] == [path] and done.path == path
    assert done.max_difference <= 1e-6
    extra = {'metadata.json': ''}
    with path.open('rb') as file:
        program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra['metadata.json']) == ABOUT
    for batch in (1, 2, 7):
        frames = draw_frames(batch, SHAPE)
        found = program.module()(frames)
        expected = reference_scores(model, frames)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    with pytest.raises(Exception, match='frames'):
        program.module()(draw_frames(2, (3, *SHAPE[1:])))
    assert b'site-packages' not in path.read_bytes()


def test_other_scores_are_not_written(tmp_path, monkeypatch):
    neck = dict(type='PassThroughNeck', num_instances=2)
    model = build(config(neck=neck, cls_head=head(in_channels=CHANNELS)))
    scores = checks.reference_scores
    monkeypatch.setattr(
        checks, 'reference_scores', lambda *args: scores(*args) + 2e-4
    )
    path = tmp_path / 'x.pt2'
    path.write_text('the old one')
    with pytest.raises(ExportError, match='differ by 2.0e-04'):
        export_program(model, path, SHAPE)
    assert path.read_text() == 'the old one'
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(ValueError, match='at least 2, got 0'):
        export_program(model, path, SHAPE, batch=0)
