import copy
import pickle

import pytest
import torch

from ..helpers import samples
from .cases import (
    RESNET,
    randomised,
    recognizer,
)

NECK = dict(
    type='NeckChain',
    num_instances=4,
    necks=[
        dict(type='GEIIM', in_channels=32),
        dict(type='WIAN', in_channels=32, out_channels=32),
    ],
    aux_loss=dict(type='MCCLLoss', class_counts=[9, 3, 1]),
)


@pytest.mark.parametrize('pooling', ['attention', 'none'])
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
