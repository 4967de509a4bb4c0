"""``tools/dev/inspect_parts.py`` on a tiny model."""

import re
import sys
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS
from tests.records.tiny import write_config, write_set

TOOL = Path(__file__).parents[2] / 'tools/dev/inspect_parts.py'
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


def test_classes_and_their_batches(report):
    text = report(necks=False)
    assert 'adjacency' not in text and 'instance weights' not in text
    rows = table(text)
    assert sum(int(row['videos']) for row in rows) == 20  # two batches
    for row in rows:
        assert float(row['loss_cls']) > 0


def test_pulls_are_the_gradients_at_the_bag():
    tool = run_path(str(TOOL))
    bag = SimpleNamespace(features=torch.randn(3, 1, 2, requires_grad=True))
    factors = torch.tensor([1.0, 2.0, 5.0]).view(3, 1, 1)
    bags = []

    class Model(torch.nn.Module):
        def data_preprocessor(self, batch, training):
            assert training
            return batch

        def forward(self, mode):
            bags.append(bag)
            loss = (factors * bag.features).sum()
            return dict(loss_cls=loss, loss_mccl=3 * loss, top1_acc=loss)

    found = tool['pulls'](Model(), {}, bags)
    expected = 2**0.5 * torch.tensor([1.0, 2.0, 5.0])
    assert set(found) == {'loss_cls', 'loss_mccl'}
    torch.testing.assert_close(found['loss_cls'], expected)
    torch.testing.assert_close(found['loss_mccl'], 3 * expected)


def test_recalls_and_areas():
    """Three classes; the third has no video."""
    tool = run_path(str(TOOL))
    scores = torch.rand(30, 3).softmax(dim=1)
    labels = torch.arange(30) % 2
    found = scores.argmax(dim=1)
    recalls = tool['recalls'](scores, labels)
    for k in range(2):
        share = (found[labels == k] == k).float().mean()
        assert recalls[k].item() == pytest.approx(100 * share.item())
    assert recalls[2].isnan()
    metrics = pytest.importorskip('sklearn.metrics')
    areas = tool['areas'](scores, labels)
    for k in range(2):
        area = metrics.roc_auc_score((labels == k).numpy(), scores[:, k])
        assert areas[k].item() == pytest.approx(100 * area)
    assert areas[2].isnan()
    shares = torch.tensor([0.7, 0.2, 0.1])
    moved = tool['areas'](scores / shares, labels)
    torch.testing.assert_close(moved, areas, equal_nan=True)


@pytest.mark.parametrize(
    'arguments, match',
    [
        (['no.py', 'no.pth'], 'no file no.py'),
        ([__file__, __file__, '--batches', '0'], 'at least 1, got 0'),
    ],
)
def test_wrong_arguments(arguments, match, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
    with pytest.raises(SystemExit):
        run_path(str(TOOL), run_name='__main__')
    assert match in capsys.readouterr().err
