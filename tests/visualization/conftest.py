import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.records.rows import write_rows
from micacl_mm.registry import MODELS

from ..records.board_rows import cells, rows_of

SHAPE = (3, 4, 32, 32)


@pytest.fixture
def trained(tmp_path):
    """A model with dropout, its config and its checkpoint."""
    init_default_scope('mmaction')
    inputs = torch.rand(3, 1, *SHAPE)
    torch.save(inputs, tmp_path / 'inputs.pt')
    cfg = Config(
        dict(
            model=dict(
                type='Recognizer3D',
                backbone=dict(
                    type='ResNet3d',
                    depth=18,
                    base_channels=4,
                    pretrained=None,
                ),
                cls_head=dict(
                    type='I3DHead',
                    num_classes=3,
                    in_channels=32,
                    dropout_ratio=0.5,
                    average_clips='prob',
                ),
            ),
            test_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='Videos', inputs=str(tmp_path / 'inputs.pt')
                ),
            ),
        )
    )
    model = MODELS.build(cfg.model)
    path = tmp_path / 'model.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return model.eval(), cfg, path, inputs


@pytest.fixture
def rows(tmp_path):
    """Two seeds of one method, one of another and one chosen otherwise."""

    def row(hits, **more):
        return cells(hits, 10, **{'method': 'micacl', **more})

    path = tmp_path / 'synthetic.csv'
    found = [
        row([9, 8, 7, 6, 5, 4, 3]),
        row([9, 8, 7, 6, 5, 4, 1], seed='1'),
        row(1, selection='last'),
        row(2, method='baseline'),
    ]
    write_rows(path, rows_of(*found))
    return path
