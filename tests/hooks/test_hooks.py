import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import (
    BaseDataset,
)
from mmengine.logging import MMLogger

from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks import (
    ChannelsLastHook,
    ClassCountsHook,
    ResultHook,
)
from micacl_mm.hooks.class_counts_hook import count_classes
from micacl_mm.hooks.result_hook import format_table
from micacl_mm.models import MCCLLoss


class Labels(BaseDataset):
    """A dataset that has nothing but labels."""

    def __init__(self, labels):
        self.labels = labels
        super().__init__(pipeline=[])

    def load_data_list(self):
        return [dict(label=label) for label in self.labels]

    def get_cat_ids(self, idx):
        return [self.labels[idx]]


@pytest.mark.parametrize('label', [3, -1, [1], 0.5])
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(ValueError, match='has the label'):
        count_classes(Labels([0, label]), 3)


def runner_of(model, dataset=None, **kwargs):
    return SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        hooks=[],
        logger=MMLogger.get_instance('test_hooks'),
        **kwargs,
    )


def test_counts_reach_every_loss_that_has_none_of_its_own():
    told = MCCLLoss(num_classes=3)
    fixed = MCCLLoss(class_counts=[5, 5, 5])
    model = torch.nn.ModuleList([told, torch.nn.ModuleList([fixed])])
    ClassCountsHook().before_train(runner_of(model, Labels([0, 0, 1, 2])))
    assert told.class_counts.tolist() == [2, 1, 1]
    assert fixed.class_counts.tolist() == [5, 5, 5]


def test_channels_last_changes_memory_and_no_number():
    model = torch.nn.Module()
    conv = torch.nn.Conv3d(4, 8, 3)
    # A 2-D convolution has no such format and must not be in the way.
    model.backbone = torch.nn.ModuleList([conv, torch.nn.Conv2d(1, 1, 1)])
    x = torch.randn(2, 4, 5, 6, 7)
    before = conv(x)
    ChannelsLastHook().before_run(runner_of(model))
    ChannelsLastHook().before_run(runner_of(conv))  # without a backbone
    after = conv(x)
    layout = torch.channels_last_3d
    assert conv.weight.is_contiguous(memory_format=layout)
    assert after.is_contiguous(memory_format=layout)
    torch.testing.assert_close(before, after)


def test_table():
    table = format_table(['a', 'bb'], torch.tensor([[3, 1], [0, 0]]))
    assert table.splitlines() == [
        'class  clips  recall  precision      F1',
        'a          4   75.00     100.00   85.71',
        'bb         0       -       0.00    0.00',
        '4 clips, percent: UAR 75.00, WAR 75.00, F1 42.86',
    ]


def test_result_is_written_beside_the_log(tmp_path):
    metric = RecallMetric(classes=['a', 'b', 'c'])
    metric.matrix = torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    runner = runner_of(
        torch.nn.Linear(2, 3),
        log_dir=tmp_path,
        test_dataloader=SimpleNamespace(dataset=Labels([0, 1])),
        cfg=Config(dict(load_from='best.pth'), filename=None),
        test_evaluator=SimpleNamespace(metrics=[object(), metric]),
    )
    figures = {'acc/UAR': 0.875, 'acc/recall/c': float('nan')}
    ResultHook().after_test_epoch(runner, figures)
    result = json.loads((tmp_path / 'result.json').read_text())
    assert result['metrics'] == {'acc/UAR': 0.875, 'acc/recall/c': None}
    assert result['confusion_matrix'] == metric.matrix.tolist()
    assert result['precision'] == pytest.approx([1, 2 / 3, None])
    assert result['F1'] == pytest.approx([6 / 7, 4 / 5, None])
    assert result['checkpoint'] == 'best.pth' and result['config'] is None
    assert result['selection'] == 'other' and result['parameters'] == 9
    picture = (tmp_path / 'confusion_matrix.png').read_bytes()
    assert picture.startswith(b'\x89PNG') and len(picture) > 5000
