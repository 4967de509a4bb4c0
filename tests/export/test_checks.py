"""What is accepted as the same scores."""

import pytest
import torch

import micacl_mm  # noqa: F401  before MMAction2
from micacl_mm.export import ExportError
from micacl_mm.export.checks import (
    TOLERANCE,
    check_scores,
    draw_frames,
    reason,
    reference_scores,
)

from .helpers import CLASSES, SHAPE, build

BATCH = 3


def check(run, model):
    return check_scores(run, model, SHAPE, torch.uint8, BATCH)


def test_the_largest_difference_of_both_batches():
    model = build()
    assert check(lambda frames: reference_scores(model, frames), model) == 0

    def run(frames):
        scores = reference_scores(model, frames)
        scores[0, 1] += 3e-5 * len(frames)
        return scores

    assert check(run, model) == pytest.approx(9e-5, abs=1e-6)
    assert TOLERANCE == 1e-4


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
        (error, 'fails on 1 videos: OSError: no such engine$'),
    ],
)
def test_refusals(run, match):
    with pytest.raises(ExportError, match=match):
        check(run, build())


def test_a_model_that_gives_no_numbers_is_refused():
    model = build()
    model.cls_head.fc_cls.bias.data.fill_(torch.nan)
    with pytest.raises(ExportError, match='differ by nan'):
        check(lambda frames: reference_scores(model, frames), model)


def test_frames_are_of_all_kinds_and_always_the_same():
    frames = draw_frames(2, (4, 3, 4, 32, 32))
    assert frames.dtype == torch.uint8 and frames.max() > 240
    assert torch.equal(frames, draw_frames(2, (4, 3, 4, 32, 32)))
    means = frames.float().mean(dim=(-1, -2)).flatten()
    assert means.std() > 20 and means.min() < 20


def test_the_first_cause_in_a_line():
    first, second = ValueError('a\nb'), OSError('c')
    second.__cause__ = first
    assert reason(second) == 'ValueError: a'
    assert reason(KeyError()) == 'KeyError: '
