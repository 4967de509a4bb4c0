import pytest
import torch
from mmaction.structures import ActionDataSample

from micacl_mm.models.half_scores import BaseHead, let_heads_take_bfloat16
from micacl_mm.registry import MODELS


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
def test_stock_heads_take_scores_of_this_type(dtype):
    head = MODELS.build(
        dict(type='mmaction.I3DHead', num_classes=3, in_channels=4)
    )
    scores = torch.tensor([[3.0, 0, 0], [0, 0, 2.0]], requires_grad=True)
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 2)]
    losses = head.loss_by_feat(scores.to(dtype), samples)
    expected = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 2]))
    torch.testing.assert_close(losses['loss_cls'], expected)
    assert losses['top1_acc'] == 1
    losses['loss_cls'].backward()
    assert scores.grad.isfinite().all() and scores.grad.any()


def test_a_second_call_changes_nothing():
    cured = BaseHead.loss_by_feat
    let_heads_take_bfloat16()
    assert BaseHead.loss_by_feat is cured
