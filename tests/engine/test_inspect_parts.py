"""``tools/analysis/inspect_parts.py`` on a tiny model."""

import re
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS
from tests.leaderboard.tiny import write_config, write_set

TOOL = Path(__file__).parents[2] / 'tools/analysis/inspect_parts.py'
NECKS = """
_base_ = ['tiny.py']
model = dict(
    neck=dict(
        necks=[
            dict(type='GEIIM', in_channels=16),
            dict(type='WIAN', in_channels=16, out_channels=16),
        ],
    ),
)
"""


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    """Run the tool on a new model and return what it prints."""

    def report(necks):
        write_set(tmp_path / 'set')
        write_config(tmp_path)
        config = tmp_path / ('necks.py' if necks else 'tiny.py')
        if necks:
            config.write_text(NECKS)
        init_default_scope('mmaction')
        model = MODELS.build(Config.fromfile(config).model)
        for module in model.modules():
            if hasattr(module, 'set_class_counts'):
                module.set_class_counts([3] * 7)
        torch.save(model.state_dict(), tmp_path / 'model.pth')
        argv = [TOOL, config, tmp_path / 'model.pth', '--batches', '2']
        argv += ['--data-root', tmp_path / 'set']
        monkeypatch.setattr(sys, 'argv', [*map(str, argv)])
        monkeypatch.setenv('MICACL_DATA_ROOT', '')
        run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return report


def table(text):
    text = text[text.index('class  ') : text.index('test  ')]
    header, *rows = text.splitlines()
    return [
        dict(zip(header.split(), row.split(), strict=True)) for row in rows
    ]


def test_both_necks(report):
    text = report(necks=True)
    graph = text.split('receiver:\n')[1].splitlines()[:4]
    rows = [[float(v) for v in row.split()] for row in graph]
    assert [len(row) for row in rows] == [4] * 4
    assert [sum(row) for row in rows] == pytest.approx([1] * 4, abs=2e-3)
    assert re.search(r'gain of WIAN: \+0\.0000', text)
    found = re.search(r'smallest: (.*)', text)[1].split()
    weights = [float(v) for v in found]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1, abs=2e-3)


def test_classes_and_their_pulls(report):
    text = report(necks=False)
    assert 'adjacency' not in text and 'instance weights' not in text
    rows = table(text)
    assert sum(int(row['videos']) for row in rows) <= 28
    for row in rows:
        # Four clips of each class, or fewer, in batches of 14.
        assert 0 <= float(row['others']) <= 3
        assert 0 <= float(row['alone']) <= 1
        assert float(row['loss_cls']) > 0
        # Who is alone in its batch has no positive, so no pull.
        if float(row['alone']) == 1:
            assert float(row['loss_mccl']) == 0


def test_recalls():
    """Where the classifier says no more than frequencies, both differ."""
    tool = run_path(str(TOOL))
    shares = torch.tensor([0.6, 0.3, 0.1])
    scores = [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.5, 0.3, 0.2]]

    class Model(torch.nn.Module):
        def test_step(self, batch):
            return [
                ActionDataSample(
                    pred_score=torch.tensor(scores[i])
                ).set_gt_label(i)
                for i in batch
            ]

    found = tool['recalls'](Model(), [[0, 1], [2]], shares)
    assert found.tolist() == [[100, 0, 0], [100, 100, 100]]
