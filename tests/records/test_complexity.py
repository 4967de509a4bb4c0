from pathlib import Path

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn import functional as F

from micacl_mm.records.complexity import measure_complexity
from micacl_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


class Toy(nn.Module):
    """Has what a recognizer has."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def data_preprocessor(self, batch):
        return dict(inputs=torch.stack(batch['inputs']))

    def extract_feat(self, x):
        return self.part(x), {}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(
            *(3, 5), num_layers=2, bidirectional=True, batch_first=True
        )

    def forward(self, x):
        return self.lstm(x)[0]


class Fused(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x[:, :2], x[:, :2, :4])


class Refuses(nn.Linear):
    def forward(self, x):
        raise RuntimeError('no such thing\nand more')


def count(part, *shape):
    return measure_complexity(Toy(part).eval(), shape)


def test_a_linear_layer_by_hand():
    # A bag of 7 x 3 numbers, each row times a 3 x 5 matrix.
    found = count(nn.Linear(3, 5), 7, 3)
    assert found == (3 * 5 + 5, pytest.approx(7 * 3 * 5 / 1e9), '')


def test_lstm_by_hand():
    # Four gates; the second layer reads both directions of the first.
    steps, gates = 7, 4 * 5
    first, second = gates * (3 + 5), gates * (2 * 5 + 5)
    expected = steps * 2 * (first + second)
    assert count(Recurrent(), steps, 3).gflops * 1e9 == pytest.approx(expected)


def test_fused_attention_by_hand():
    # 7 queries of size 6 meet 2 keys, whose values have size 4.
    found = count(Fused(), 7, 6).gflops
    assert found * 1e9 == pytest.approx(7 * 2 * (6 + 4))


def test_attention_of_torch_does_not_hide_in_its_fast_path():
    layer = nn.TransformerEncoderLayer(6, 2, 10, batch_first=True)
    steps = 7
    projections, pairs = 4 * steps * 6 * 6, 2 * steps * steps * 6
    expected = projections + pairs + 2 * steps * 6 * 10
    before = torch.backends.mha.get_fastpath_enabled()
    # Beside them only the two norms, a few operations a number.
    found = count(layer, steps, 6).gflops * 1e9
    assert expected <= found <= expected + 2 * 5 * steps * 6
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_what_cannot_be_traced_has_parameters_only():
    found = count(Refuses(3, 5), 7, 3)
    assert found == (20, None, 'RuntimeError: no such thing')
    assert measure_complexity(nn.Linear(1, 1), (1,)).gflops is None
    assert measure_complexity(nn.Identity(), ()).parameters == 0


def test_a_recognizer_as_the_stock_tool_counts_it():
    init_default_scope('mmaction')
    model = Config.fromfile(ROOT / 'configs/micacl_demo.py').model
    model.neck = dict(type='PassThroughNeck', num_instances=4)
    model.cls_head.in_channels = 128
    model = MODELS.build(model).eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    shape = (4, 3, 4, 32, 32)
    found = measure_complexity(model, shape)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not model.training
    model.forward = model.extract_feat
    stock = get_model_complexity_info(
        model, shape, show_table=False, show_arch=False
    )
    assert found.parameters == stock['params']
    assert found.gflops == pytest.approx(stock['flops'] / 1e9)


@pytest.mark.parametrize(
    'method, seen',
    [('timesformer', (1, 3, 16, 48, 48)), ('tsm', (16, 3, 48, 48))],
)
def test_the_view_of_the_model_is_counted(method, seen):
    init_default_scope('mmaction')
    config = f'configs/leaderboard/{method}.py'
    model = MODELS.build(Config.fromfile(ROOT / config).model).eval()
    found = measure_complexity(model, (4, 3, 4, 48, 48))
    assert found.problem == ''
    model.forward = model.extract_feat
    stock = get_model_complexity_info(
        model, seen, show_table=False, show_arch=False
    )
    # The stock tool passes over fused attention, and nothing else.
    assert found.gflops >= stock['flops'] / 1e9 * (1 - 1e-6)
    if method == 'tsm':
        assert found.gflops == pytest.approx(stock['flops'] / 1e9)
